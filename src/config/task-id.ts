import type {Log} from '../observe/log.ts';

const LIMIT_MS = 3000;

/**
 * The id that AWS ECS gave this task (the last part of its ARN), or undefined elsewhere. The caller puts it into the
 * environment as `ZERO_TASK_ID`, unless one is set, before parsing. Not getting it is only warned of: a random id will do.
 */
export const ecsTaskID = async (env: NodeJS.ProcessEnv, log: Log): Promise<string | undefined> => {
  const metadata = env.ECS_CONTAINER_METADATA_URI_V4;
  if (!metadata) return undefined;
  try {
    const response = await fetch(`${metadata}/task`, {signal: AbortSignal.timeout(LIMIT_MS)});
    if (!response.ok) throw new Error(`status ${response.status}`);
    const {TaskARN: arn} = (await response.json()) as {readonly TaskARN?: unknown};
    const id = typeof arn === 'string' ? arn.split('/').at(-1) : undefined;
    if (!id) throw new Error('the answer holds no TaskARN');
    return id;
  } catch (error) {
    log.warn({reason: (error as Error).message}, 'no task id from ECS; a random one is used');
    return undefined;
  }
};
