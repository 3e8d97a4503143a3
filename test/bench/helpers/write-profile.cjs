// Loaded into every process of a server by --require: Node 20 takes no --cpu-prof from NODE_OPTIONS.
const {Session} = require('node:inspector');
const {writeFileSync} = require('node:fs');
const {join} = require('node:path');

const session = new Session();
session.connect();
session.post('Profiler.enable');
session.post('Profiler.setSamplingInterval', {interval: 500});
session.post('Profiler.start');
// What was recorded so far is forgotten: the part of the run that is of interest begins.
process.on('SIGUSR2', () => {
  session.post('Profiler.stop');
  session.post('Profiler.start');
});
process.on('exit', () => {
  session.post('Profiler.stop', (error, result) => {
    if (error) return;
    const file = join(process.env.ZS_BENCH_PROFILES, `${process.pid}.cpuprofile`);
    writeFileSync(file, JSON.stringify(result.profile));
  });
});
