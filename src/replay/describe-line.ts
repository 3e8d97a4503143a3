import {formatLsn, lsnOfVersion} from '../pg/lsn.ts';
import {jsonFields} from './json-fields.ts';

/** What a line of a golden output is about, in words. */
export interface LineIdentity {
  /** Equal for two lines about the same thing, whatever they say of it. */
  readonly id: string;
  /** A noun phrase for a line that is missing or too much. */
  readonly noun: string;
  /** Where a field of it is: the beginning of "…, column title". */
  readonly place: string;
  /** Path of a field → words. */
  readonly field: (path: string) => string;
}

/** Key columns by table, learnt from the table lines before the rows. */
export type TableKeys = Map<string, readonly string[]>;

interface Line {
  readonly replica?: unknown;
  readonly table?: string;
  readonly key?: readonly string[];
  readonly row?: string;
  readonly changeLog2?: string;
  readonly rowKey?: string;
  readonly watermark?: string;
  readonly pos?: number;
  readonly change?: {readonly tag?: string};
  readonly fault?: {readonly code?: string};
  readonly version?: string;
  readonly step?: number;
  readonly query?: number;
  readonly client?: string;
  readonly nth?: number;
  readonly id?: string;
  readonly op?: string;
  readonly on?: number;
}

const plain = (path: string) => path;
const column = (path: string) => `column ${path.replace(/^values\./, '')}`;

/** Tells what a line is about. Remembers the keys of table lines in `keys`. */
export const describeLine = (text: string, keys: TableKeys): LineIdentity => {
  const line = parse(text);
  if (line.row !== undefined) {
    const key = keyText(keys.get(line.row) ?? [], text);
    return {
      id: `row ${line.row} ${key}`,
      noun: `table ${line.row}: the row with key ${key}`,
      place: `table ${line.row}, key ${key}`,
      field: column,
    };
  }
  if (line.changeLog2 !== undefined) {
    const of = line.rowKey === line.changeLog2.split('/')[0] ? 'as a whole' : `key ${line.rowKey}`;
    return {
      id: `changed ${line.table} ${line.rowKey}`,
      noun: `changed rows (_zero.changeLog2): the entry of table ${line.table}, ${of}`,
      place: `changed rows (_zero.changeLog2), table ${line.table}, ${of}`,
      field: path => (path === 'changeLog2' ? 'version and position' : path),
    };
  }
  if (line.fault !== undefined)
    return {id: 'fault', noun: `the end by fault ${line.fault.code}`, place: 'the fault', field: plain};
  if (line.watermark !== undefined) {
    const at = `${line.watermark}/${line.pos} (${line.change?.tag} at ${lsnText(line.watermark)})`;
    return {
      id: `log ${line.watermark}/${line.pos}`,
      noun: `change log: the entry ${at}`,
      place: `change log, entry ${at}`,
      field: path =>
        path.replace(/^change\.(new|key)\./, (_, side) => (side === 'new' ? 'column ' : 'key column ')),
    };
  }
  if (line.op === 'sent') {
    const what = `what connection ${line.on} is sent`;
    return {id: what, noun: what, place: what, field: plain};
  }
  if (line.client !== undefined) {
    const at = `step ${line.step}, client ${line.client}, message ${line.nth}`;
    return {id: at, noun: at, place: at, field: path => (path === 'message' ? 'its text' : path)};
  }
  if (line.step !== undefined) {
    const step = line.step === 0 ? 'hydration' : `step ${line.step}`;
    if (line.query === undefined) return {id: step, noun: step, place: step, field: plain};
    const at = `${step}, query ${line.query}`;
    const row = line.id === undefined ? '' : `, row ${line.id}`;
    return {
      id: at + row,
      noun: line.id === undefined ? `${at}: the failure` : `${at}: the change of row ${line.id}`,
      place: at + row,
      field: path => (path.startsWith('put.') ? `column ${path.slice(4)}` : path),
    };
  }
  if (line.table !== undefined) {
    if (line.key) keys.set(line.table, line.key);
    return {
      id: `table ${line.table}`,
      noun: `table ${line.table}`,
      place: `table ${line.table}`,
      field: path => path.replace(/^columns\.(.+)\.(\w+)$/, 'column $1, $2').replace(/^indexes\./, 'index '),
    };
  }
  if (line.replica !== undefined)
    return {
      id: 'replica',
      noun: "the replica's state",
      place: "the replica's state",
      field: path => path.replace(/^replica\./, ''),
    };
  return {id: text, noun: `the line ${text.slice(0, 60)}`, place: 'a line', field: plain};
};

const parse = (text: string): Line => {
  try {
    return (JSON.parse(text) ?? {}) as Line;
  } catch {
    return {};
  }
};

/** As written, since parsing would unify large integers. Tables without a key are told apart by the whole row. */
const keyText = (key: readonly string[], line: string): string => {
  const fields = jsonFields(line);
  const columns = key.length
    ? key.map(name => `values.${name}`)
    : [...fields.keys()].filter(p => p !== 'row');
  return `{${columns.map(path => `${JSON.stringify(path.slice(7))}:${fields.get(path) ?? 'null'}`).join()}}`;
};

const lsnText = (version: string): string => {
  try {
    return formatLsn(lsnOfVersion(version));
  } catch {
    return version;
  }
};
