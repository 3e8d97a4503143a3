import {expect, test} from 'vitest';
import {StageBoard} from '../../src/flow/stage.ts';
import {ReplicatorStatus} from '../../src/replication/status.ts';

test('what is left out stands from the moment the stream is open, and not only when somebody looks', () => {
  const status = new ReplicatorStatus('/nowhere/replica.db', new StageBoard());
  const leftOut = [{oid: 1, schema: 'public', name: 'keyless', reason: 'it has no key'}];
  status.opened({
    control: {probe: () => 0},
    tracker: {schema: {tables: [], indexes: [], leftOut}},
    jobs: {all: () => []},
  });
  expect(status.faults.standing).toMatchObject([
    {code: 'R014', severity: 'warning', what: expect.stringMatching(/^No table is replicated/)},
    {code: 'R014', severity: 'warning', what: 'Table "public"."keyless" is not replicated: it has no key.'},
  ]);
});
