import {afterEach, expect, test, vi} from 'vitest';
import {QueryError} from '../../src/errors.ts';
import {createLog} from '../../src/observe/log.ts';

afterEach(() => vi.restoreAllMocks());

const logged = (format: 'text' | 'json', error: unknown): string => {
  const write = vi.spyOn(process.stdout, 'write').mockReturnValue(true);
  createLog({level: 'info', format}, {worker: 'w'}).error({err: error, clientID: 'c'}, 'it failed');
  const lines = write.mock.calls.map(([line]) => String(line));
  write.mockRestore();
  expect(lines).toHaveLength(1);
  return lines[0]!;
};

/** As PostgreSQL's errors come from pg. */
const refused = Object.assign(new Error('duplicate key value'), {
  code: '23505',
  detail: 'Key (id)=(secret) already exists.',
  where: 'COPY t, line 1: "secret"',
});
const error = new QueryError('The query failed', {cause: new TypeError('within', {cause: refused})});

test('an error in JSON is one flat object with the messages and stacks of its causes, and holds no row', () => {
  const line = logged('json', error);
  expect(line).not.toContain('secret');
  const {err, ...rest} = JSON.parse(line) as {err: Record<string, unknown>};
  expect(rest).toMatchObject({level: 'ERROR', message: 'it failed', worker: 'w', clientID: 'c'});
  expect(Object.keys(err).sort()).toEqual(['code', 'message', 'stack', 'type']);
  expect(err).toMatchObject({
    type: 'QueryError',
    code: 'Q001',
    message: 'The query failed: within: duplicate key value',
  });
  expect(String(err['stack']).match(/caused by: /g)).toHaveLength(2);
  expect(err['stack']).toContain('caused by: TypeError: within');
});

test('in text it is the same, and what is no error is shown as it is', () => {
  const text = logged('text', error);
  expect(text).not.toContain('secret');
  expect(text).toMatch(/ERROR .*worker=w clientID=c it failed · Q001 /);
  expect(text).toContain('caused by: Error: duplicate key value');
  expect(JSON.parse(logged('json', 'a word'))).toMatchObject({err: 'a word'});
  expect(() => logged('text', 'a word')).not.toThrow();
});
