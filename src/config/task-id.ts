const LIMIT_MS = 3000;

/**
 * The environment with `ZERO_TASK_ID` as AWS ECS named this task (the last part of its ARN), unless one is set; elsewhere as it
 * is (config-ops.md §1.8). Not getting it is only told to `warn`: a random id will do.
 */
export const withTaskID = async (
  env: NodeJS.ProcessEnv,
  warn: (text: string) => void,
): Promise<NodeJS.ProcessEnv> => {
  const metadata = env['ECS_CONTAINER_METADATA_URI_V4'];
  if (!metadata || env['ZERO_TASK_ID']) return env;
  try {
    const response = await fetch(`${metadata}/task`, {signal: AbortSignal.timeout(LIMIT_MS)});
    if (!response.ok) throw new Error(`status ${response.status}`);
    const {TaskARN: arn} = (await response.json()) as {readonly TaskARN?: unknown};
    const id = typeof arn === 'string' ? arn.split('/').at(-1) : undefined;
    if (!id) throw new Error('the answer holds no TaskARN');
    return {...env, ZERO_TASK_ID: id};
  } catch (error) {
    warn(`no task id from ECS (${(error as Error).message}); a random one is used`);
    return env;
  }
};
