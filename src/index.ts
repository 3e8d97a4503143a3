/**
 * zerostream as a library: start a server within a program of your own, or compose its stages anew.
 * Nothing here ends the process or installs signal handlers, unless it is asked to.
 */

export type {ZeroConfig} from './config/config.ts';
export {parseConfig} from './config/parse-config.ts';
export {DaemonError} from './errors.ts';
export {StageBoard, type StageOptions, type StageStats, stages} from './flow/stage.ts';
export type {DaemonInspection} from './observe/inspection.ts';
export {type StartOptions, startZeroCache, type ZeroCache} from './start-zero-cache.ts';
