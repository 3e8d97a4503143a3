import {emitKeypressEvents, type Key} from 'node:readline';
import type {DaemonInspection} from '../observe/inspection.ts';
import {renderText} from '../observe/render-text.ts';
import {fetchInspection, type Target} from './fetch-inspection.ts';
import {linesFor} from './terminal-lines.ts';

const ENTER = '\x1b[?1049h\x1b[?25l';
const LEAVE = '\x1b[?25h\x1b[?1049l';
const HOME = '\x1b[H';
const CLEAR_LINE = '\x1b[K';
const CLEAR_REST = '\x1b[J';

/**
 * The terminal view, drawn anew every second in a screen of its own until q, Ctrl-C or a signal; up, down, Home and End scroll. A
 * server that goes away is said and waited for. Without a terminal, one view after the other. @returns the exit code.
 */
export const watchInspector = async (target: Target, options: {readonly sql: boolean}): Promise<number> => {
  const {stdin, stdout} = process;
  let before: DaemonInspection | null = null;
  let now = await fetchInspection(target);
  let lost: string | null = null;
  let top = 0;
  let end: () => void = () => {};
  const ended = new Promise<'ended'>(resolve => {
    end = () => resolve('ended');
  });
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => end());

  const draw = () => {
    const view = renderText(now, before, options);
    if (!stdout.isTTY) return void stdout.write(`${view}\n`);
    const room = Math.max(3, (stdout.rows || 24) - 1);
    const lines = linesFor(stdout, view);
    top = Math.max(0, Math.min(top, lines.length - room));
    const shown = lines.slice(top, top + room).map(line => `${line}${CLEAR_LINE}`);
    const more = lines.length - top - room;
    const footer = lost ?? `q ends · ↑↓ scroll${more > 0 ? ` · ${more} lines more` : ''}`;
    stdout.write(
      `${HOME}${shown.join('\n')}\n${CLEAR_REST}\x1b[7m ${footer.slice(0, (stdout.columns || 80) - 2)} \x1b[0m`,
    );
  };
  const onKey = (_: string | undefined, key: Key) => {
    const page = Math.max(1, (stdout.rows || 24) - 4);
    const step = {up: -1, down: 1, pageup: -page, pagedown: page, home: -Infinity, end: Infinity}[
      key.name ?? ''
    ];
    if (key.name === 'q' || (key.ctrl && (key.name === 'c' || key.name === 'd'))) end();
    else if (step) {
      top += step;
      draw();
    }
  };

  if (stdout.isTTY) stdout.write(ENTER);
  if (stdin.isTTY) {
    emitKeypressEvents(stdin);
    stdin.setRawMode(true);
    stdin.on('keypress', onKey);
    stdin.resume();
  }
  stdout.on('resize', draw);
  try {
    for (;;) {
      draw();
      const waited = await Promise.race([ended, new Promise(resolve => setTimeout(resolve, 1000))]);
      if (waited === 'ended') return 0;
      try {
        const next = await fetchInspection(target);
        before = now.startedAtMs === next.startedAtMs ? now : null;
        now = next;
        lost = null;
      } catch (error) {
        lost = (error as Error).message;
      }
    }
  } finally {
    stdout.off('resize', draw);
    if (stdin.isTTY) {
      stdin.off('keypress', onKey);
      stdin.setRawMode(false);
      stdin.pause();
    }
    if (stdout.isTTY) stdout.write(LEAVE);
  }
};
