import type {DaemonError} from '../errors.ts';
import {type Fault, type PastFault, remedyOf} from './faults.ts';

const REMEMBERED = 20;
/** A fault that comes again so soon was never over. */
const AGAIN_MS = 15_000;

/** Faults of one process: those that stand, by what they concern, and the last ones that are over. */
export class FaultBook {
  readonly #open = new Map<string, Fault>();
  readonly #past: (PastFault & {readonly subject: string})[] = [];
  readonly #now: () => number;

  constructor(now: () => number = Date.now) {
    this.#now = now;
  }

  /** What is wrong with a subject from now on; null: nothing. A fault that goes on keeps its beginning. */
  set(subject: string, error: DaemonError | null, severity: Fault['severity'] = 'warning'): void {
    const before = this.#open.get(subject);
    if (before && before.code !== error?.code) this.#end(subject, before);
    if (!error) return;
    const {code, message} = error;
    const sinceMs = before?.code === code ? before.sinceMs : (this.#revive(subject, error) ?? this.#now());
    this.#open.set(subject, {code, severity, what: message, remedy: remedyOf(code), sinceMs});
  }

  get(subject: string): Fault | undefined {
    return this.#open.get(subject);
  }

  /** Subjects that begin with `prefix`: those given are all that stand. */
  setAll(prefix: string, errors: ReadonlyMap<string, DaemonError>): void {
    for (const subject of this.#open.keys())
      if (subject.startsWith(prefix) && !errors.has(subject.slice(prefix.length))) this.set(subject, null);
    for (const [name, error] of errors) this.set(prefix + name, error);
  }

  /** The worst and oldest first. */
  get standing(): Fault[] {
    const rank = (fault: Fault) => (fault.severity === 'fault' ? 0 : 1);
    return [...this.#open.values()].sort((a, b) => rank(a) - rank(b) || a.sinceMs - b.sinceMs);
  }

  /** The newest last. */
  get past(): PastFault[] {
    return this.#past.map(({subject: _, ...fault}) => fault);
  }

  #revive(subject: string, {code, message}: DaemonError): number | null {
    const recent = this.#now() - AGAIN_MS;
    const at = this.#past.findLastIndex(
      past =>
        past.subject === subject &&
        past.code === code &&
        withoutNumbers(past.what) === withoutNumbers(message) &&
        past.untilMs > recent,
    );
    return at < 0 ? null : this.#past.splice(at, 1)[0]!.sinceMs;
  }

  #end(subject: string, fault: Fault): void {
    this.#open.delete(subject);
    this.#past.push({...fault, subject, untilMs: this.#now()});
    if (this.#past.length > REMEMBERED) this.#past.shift();
  }
}

const withoutNumbers = (text: string): string => text.replaceAll(/\d+/g, '#');
