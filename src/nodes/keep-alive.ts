import type {WebSocket} from 'ws';

const SILENT_INTERVALS = 3;

/**
 * Pings the other end and ends the connection when nothing came from it for three intervals, as of a peer that vanished
 * without closing. Counts intervals and not time, so that our own work that held up the timer does not look like silence.
 */
export const keepAlive = (ws: WebSocket, everyMs: number, onSilence: () => void = () => {}): void => {
  let silent = 0;
  const heard = () => {
    silent = 0;
  };
  for (const event of ['message', 'ping', 'pong'] as const) ws.on(event, heard);
  const timer = setInterval(() => {
    if (silent++ >= SILENT_INTERVALS) {
      onSilence();
      return ws.terminate();
    }
    // While we do not read, nothing can be heard.
    if (ws.isPaused) heard();
    if (ws.readyState === ws.OPEN) ws.ping();
  }, everyMs);
  ws.once('close', () => clearInterval(timer));
};
