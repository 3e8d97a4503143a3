import {replicator} from '../../pipelines/replicator.ts';
import {parentOf} from '../daemon/child-process.ts';
import {usage} from '../daemon/ipc.ts';
import {reportProgress} from '../daemon/report-progress.ts';
import {StageBoard} from '../flow/stage.ts';

/** The process that owns the slot and is the only writer of the replica. */
const parent = parentOf('replicator');
const running = replicator({config: parent.config, log: parent.log, board: new StageBoard()});
const report = reportProgress(parent.log);

const subscription = running.events.subscribe({
  next: event => {
    if (event.type === 'progress') report(event.progress);
    else parent.send(event);
  },
  error: error => parent.fatal(error),
});

parent.onMessage(message => {
  if (message.type === 'inspect')
    parent.send({type: 'inspection', id: message.id, body: running.inspect(), usage: usage()});
  else if (message.type === 'stop') {
    subscription.unsubscribe();
    // What is being acknowledged now may still reach the socket.
    setTimeout(() => process.exit(0), 50);
  }
});
