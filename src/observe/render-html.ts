import {readFileSync} from 'node:fs';
import type {DaemonInspection} from './inspection.ts';

/** What the page starts with; see `page/main.ts`. */
export interface PageData {
  readonly before: DaemonInspection | null;
  readonly now: DaemonInspection;
  /** True if it can fetch newer ones from `./data`. */
  readonly live: boolean;
}

/** One self-contained page: the built template with the data in it. */
export const renderHtml = (data: PageData): string => {
  const template = readFileSync(new URL('./inspector.html', import.meta.url), 'utf8');
  // Nothing in the data may end the script element that holds it.
  return template.replace('"__DATA__"', () => JSON.stringify(data).replaceAll('<', '\\u003c'));
};
