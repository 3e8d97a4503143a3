import {BadMutation} from '../errors.ts';
import type {JsonValue} from '../zql/ast.ts';
import type {UpstreamColumn} from './upstream-tables.ts';

/** A wire value as the text PostgreSQL parses for the column; inverse of what replication does (protocol.md §3.6). */
export const toPgText = (value: JsonValue | undefined, column: UpstreamColumn): string | null => {
  if (value === null || value === undefined) return null;
  return column.isArray ? arrayText(value, column) : scalarText(value, column);
};

const scalarText = (value: JsonValue, {typname}: UpstreamColumn): string => {
  switch (typname) {
    case 'json':
    case 'jsonb':
      return JSON.stringify(value);
    case 'timestamp':
    case 'timestamptz':
      return typeof value === 'number' ? timestampText(value) : plain(value);
    case 'date':
      return typeof value === 'number' ? timestampText(value).slice(0, -1).replace(/T.*/, '') : plain(value);
    case 'time':
    case 'timetz':
      return typeof value === 'number'
        ? `${timeText(value)}${typname === 'timetz' ? '+00' : ''}`
        : plain(value);
    default:
      return plain(value);
  }
};

const plain = (value: JsonValue): string => {
  if (typeof value === 'object')
    throw new BadMutation('An object or list was given for a column that is neither JSON nor an array.');
  return String(value);
};

/** ms with microseconds as the fraction → ISO text in UTC. */
const timestampText = (ms: number): string => {
  const micros = Math.round(ms * 1000);
  const whole = Math.floor(micros / 1_000_000);
  const date = new Date(whole * 1000);
  if (Number.isNaN(date.getTime()) || date.getUTCFullYear() < 1 || date.getUTCFullYear() > 9999)
    throw new BadMutation('A timestamp lies beyond the years 1 to 9999.');
  const fraction = String(micros - whole * 1_000_000).padStart(6, '0');
  return `${date.toISOString().slice(0, 19)}.${fraction}Z`;
};

const timeText = (ms: number): string => {
  const part = (n: number, digits: number) => String(Math.floor(n)).padStart(digits, '0');
  return `${part(ms / 3_600_000, 2)}:${part((ms / 60_000) % 60, 2)}:${part((ms / 1000) % 60, 2)}.${part(ms % 1000, 3)}`;
};

const arrayText = (value: JsonValue, column: UpstreamColumn): string => {
  if (!Array.isArray(value)) throw new BadMutation('A column of an array type takes a list.');
  const element = (item: JsonValue): string => {
    if (item === null) return 'NULL';
    if (Array.isArray(item) && column.typname !== 'json' && column.typname !== 'jsonb')
      return arrayText(item, column);
    return `"${scalarText(item, column).replaceAll(/["\\]/g, '\\$&')}"`;
  };
  return `{${value.map(element).join()}}`;
};
