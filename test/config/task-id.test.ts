import {createServer} from 'node:http';
import type {AddressInfo} from 'node:net';
import {expect, test} from 'vitest';
import {parseConfig} from '../../src/config/parse-config.ts';
import {withTaskID} from '../../src/config/task-id.ts';

/** An endpoint of task metadata, as ECS gives each container one. */
const metadata = async (answer: unknown, status = 200) => {
  const asked: string[] = [];
  const server = createServer((request, response) => {
    asked.push(request.url ?? '');
    response.writeHead(status, {'content-type': 'application/json'}).end(JSON.stringify(answer));
  });
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v4/0123`;
  return {
    url,
    asked,
    [Symbol.asyncDispose]: () => new Promise<void>(resolve => server.close(() => resolve())),
  };
};

const named = async (env: NodeJS.ProcessEnv) => {
  const warnings: string[] = [];
  const {config} = parseConfig(
    [],
    await withTaskID({NODE_ENV: 'development', ZERO_UPSTREAM_DB: 'postgres://db/app', ...env}, text =>
      warnings.push(text),
    ),
  );
  return {taskID: config.taskID, warnings};
};

test('on ECS a server is called as its task is, by the last part of the ARN', async () => {
  await using ecs = await metadata({TaskARN: 'arn:aws:ecs:eu-west-1:123456789012:task/app/158d1c8083dd49d6'});
  const env = {ECS_CONTAINER_METADATA_URI_V4: ecs.url};
  expect(await named(env)).toEqual({taskID: '158d1c8083dd49d6', warnings: []});
  expect(ecs.asked).toEqual(['/v4/0123/task']);
  expect(await named({...env, ZERO_TASK_ID: 'mine'})).toEqual({taskID: 'mine', warnings: []});
  expect(ecs.asked).toHaveLength(1);
});

test('where ECS does not tell, the id is random and that is said', async () => {
  for (const [answer, status, why] of [
    [{}, 200, 'holds no TaskARN'],
    [{}, 500, 'status 500'],
  ] as const) {
    await using ecs = await metadata(answer, status);
    const {taskID, warnings} = await named({ECS_CONTAINER_METADATA_URI_V4: ecs.url});
    expect(taskID).not.toBe('');
    expect(warnings).toEqual([expect.stringContaining(why)]);
  }
});
