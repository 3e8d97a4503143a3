export type {ZeroConfig} from './config/config.ts';
