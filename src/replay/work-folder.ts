import {mkdtempSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

const open = new Set<string>();

/** A private folder for the time of one piece of work; `using` removes it. */
export class WorkFolder implements Disposable {
  readonly dir = mkdtempSync(join(tmpdir(), 'zs-replay-'));

  constructor() {
    open.add(this.dir);
  }

  file(name: string): string {
    return join(this.dir, name);
  }

  [Symbol.dispose](): void {
    rmSync(this.dir, {recursive: true, force: true});
    open.delete(this.dir);
  }
}

/**
 * Sees to it that the process leaves no work folder behind when a signal ends it: they may hold rows. Ctrl-C ends it too,
 * unless somebody else listens to it.
 */
export const removeWorkFoldersOnSignals = (): void => {
  const end = (code: number) => {
    for (const dir of open) rmSync(dir, {recursive: true, force: true});
    process.exit(code);
  };
  process.on('SIGTERM', () => end(143));
  process.on('SIGHUP', () => end(129));
  const onInterrupt = () => {
    if (process.listenerCount('SIGINT') === 1) end(130);
  };
  process.on('SIGINT', onInterrupt);
};
