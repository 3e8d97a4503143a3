import {spawn} from 'node:child_process';
import {existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {stripVTControlCharacters} from 'node:util';
import type {Browser, Page} from 'playwright-core';
import {afterAll, beforeAll, describe, expect, test} from 'vitest';
import {hasBrowser, isTooWide, launchBrowser} from '../helpers/browser.ts';
import {type Daemon, startDaemon} from '../helpers/daemon.ts';
import {createDatabase, type TestDatabase} from '../helpers/postgres.ts';
import {type StockClient, stockClient} from '../helpers/stock-client.ts';
import {until} from '../helpers/until.ts';
import {deployAnyone} from './permissions.ts';
import {ddl, schema, zql} from './schema.ts';

const PASSWORD = 'look-at-me';

let db: TestDatabase;
let daemon: Daemon;
let client: StockClient<typeof schema>;
let dir: string;
/** Its picture before anything has happened. */
let justStarted: string;

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'zs-inspect-'));
  db = await createDatabase(ddl);
  daemon = await startDaemon({
    upstream: db.url,
    appID: db.appID,
    env: {ZERO_ADMIN_PASSWORD: PASSWORD, NODE_ENV: 'production'},
  });
  justStarted = (await inspect('--password', PASSWORD, '--mermaid')).out;
  await deployAnyone(db, db.appID);
  client = stockClient({schema, server: daemon.url, storageKey: db.name, userID: 'u1'});
  const labels = client.zero.materialize(zql.label.orderBy('name', 'asc').limit(10));
  await client.zero.mutate.label.insert({id: 'l1', name: 'first'});
  await until(
    async () =>
      (await db.query(`SELECT 1 FROM label`)).rowCount === 1 && (labels.data as unknown[]).length === 1,
    'the label is there',
  );
});

afterAll(async () => {
  await client?.[Symbol.asyncDispose]();
  await daemon?.[Symbol.asyncDispose]();
  await db?.[Symbol.asyncDispose]();
  rmSync(dir, {recursive: true, force: true});
});

/** Runs the tool to its end. */
const inspect = async (...args: string[]) => {
  const child = spawn(process.execPath, ['dist/inspect-pipeline.js', '--url', daemon.url, ...args], {
    env: {PATH: process.env['PATH']},
  });
  let out = '';
  let err = '';
  child.stdout.on('data', chunk => (out += chunk));
  child.stderr.on('data', chunk => (err += chunk));
  const code = await new Promise<number | null>(resolve => child.once('close', resolve));
  return {code, out, err};
};

describe('once', () => {
  test('shows every stage in order, the graphs and the group', async () => {
    const {code, out} = await inspect('--password', PASSWORD);
    expect(code).toBe(0);
    const stages = [...out.matchAll(/^ {2}[▶·] (\S+)/gm)].map(match => match[1]);
    expect(stages).toEqual(
      expect.arrayContaining(['replication.decode', 'replication.ack', 'query.advance', 'client-group.poke']),
    );
    expect(stages.indexOf('replication.decode')).toBeLessThan(stages.indexOf('replication.apply'));
    expect(out).toMatch(/label order by name limit 10: 1 row · 1 subscriber · hydrated/);
    expect(out).toMatch(/group \S+: at \S+ · 1 client · 1 query ·/);
    expect(out).toMatch(/replication\.apply .* lag [\d.]+ m?s, measured/);
  });

  test('JSON and Mermaid', async () => {
    const json = await inspect('--password', PASSWORD, '--json');
    expect(JSON.parse(json.out)).toMatchObject({replicator: {state: 'streaming'}, workers: [{index: 0}]});
    const counted = await inspect('--password', PASSWORD, '--mermaid', 'counts');
    expect(counted.out).toMatch(/r_replication_apply\["apply<br\/>[1-9]/);
    expect(counted.out).toMatch(/ label<br\/>1 row, 1 subscriber"\]\)/);
  });

  test('the picture in the README is the one of a server that was just started', () => {
    expect(readFileSync('README.md', 'utf8')).toContain(`\`\`\`mermaid\n${justStarted}\`\`\``);
  });

  test('a reader that stops reading ends it without a word', async () => {
    const command = `${process.execPath} dist/inspect-pipeline.js --url ${daemon.url} --password ${PASSWORD} --watch`;
    const child = spawn('bash', ['-o', 'pipefail', '-c', `${command} | head -1`]);
    let err = '';
    child.stderr.on('data', chunk => (err += chunk));
    const code = await new Promise<number | null>(resolve => child.once('close', resolve));
    expect({code, err}).toEqual({code: 0, err: ''});
  });

  test('a missing password and a server that is not there are told', async () => {
    expect(await inspect()).toMatchObject({
      code: 1,
      err: expect.stringContaining('wants its admin password'),
    });
    expect(await inspect('--password', 'wrong')).toMatchObject({
      code: 1,
      err: expect.stringContaining('has another admin password'),
    });
    expect(await inspect('--url', 'localhost:4848')).toMatchObject({
      code: 1,
      err: expect.stringContaining('must be an http:// or https:// address'),
    });
    expect(await inspect('--wach')).toMatchObject({
      code: 1,
      err: expect.stringMatching(/unknown option '--wach'\n\(Did you mean --watch\?\)\n+--help tells more/),
    });
    expect(await inspect('--password', PASSWORD, '--html', dir)).toMatchObject({
      code: 1,
      err: `inspect-pipeline: ${dir} cannot be written (EISDIR); give --html another file.\n`,
    });
    expect(await inspect('--url', 'http://127.0.0.1:1')).toMatchObject({
      code: 1,
      err: expect.stringContaining('no server answers at http://127.0.0.1:1'),
    });
  });
});

describe('one query against a replica file', () => {
  const query = (file: string, ast: unknown) => {
    const path = join(dir, file);
    writeFileSync(path, typeof ast === 'string' ? ast : JSON.stringify(ast));
    return path;
  };

  test('rows read, the plan and the answer are told', async () => {
    const ast = query('by-name.json', {table: 'label', orderBy: [['name', 'asc']], limit: 3});
    const {code, out} = await inspect('--ast', ast, '--replica', daemon.replicaFile);
    expect(code).toBe(0);
    expect(out).toMatch(/^1 row synced \(label 1\), \d+ rows? read/);
    expect(out).toContain('source label');
    expect(out).toMatch(/SCAN|SEARCH/);
    const json = await inspect('--ast', ast, '--replica', daemon.replicaFile, '--json');
    expect(JSON.parse(json.out)).toMatchObject({syncedRows: 1});
  });

  test('what is wrong with a file is told', async () => {
    const told = async (...args: string[]) => {
      const {code, err} = await inspect(...args);
      expect(code).toBe(1);
      return err;
    };
    const replica = ['--replica', daemon.replicaFile];
    const good = query('good.json', {table: 'label'});
    expect(await told('--ast', good)).toContain('go together');
    expect(await told('--ast', good, '--replica', join(dir, 'none.db'))).toContain('there is no replica at');
    expect(await told('--ast', query('bad.json', '{'), ...replica)).toContain('no JSON');
    expect(await told('--ast', join(dir, 'none.json'), ...replica)).toContain('cannot be read (ENOENT)');
    expect(await told('--ast', query('odd.json', {tab: 1}), ...replica)).toContain('is no query: table');
    expect(await told('--ast', query('far.json', {table: 'nowhere'}), ...replica)).toContain('nowhere');
  });
});

// A real terminal, made by util-linux's script.
test.skipIf(!existsSync('/usr/bin/script')).each([true, false])(
  '--watch draws on a narrow terminal, scrolls, and gives the terminal back at q; in colour: %s',
  async colored => {
    const command = `${process.execPath} dist/inspect-pipeline.js --url ${daemon.url} --password ${PASSWORD} --watch`;
    const child = spawn('script', ['-qfec', `stty rows 20 cols 50; ${command}`, '/dev/null'], {
      stdio: ['pipe', 'pipe', 'inherit'],
      env: {PATH: process.env['PATH'], TERM: 'xterm-256color', ...(colored ? {} : {NO_COLOR: '1'})},
    });
    let out = '';
    child.stdout.on('data', chunk => (out += chunk));
    const closed = new Promise<number | null>(resolve => child.once('close', resolve));
    await until(() => out.includes('/s in'), 'rates are shown');
    expect(out).toContain('\x1b[?1049h');
    expect(out).toMatch(/q ends · ↑↓ scroll · \d+ lines more/);
    const last = () => out.slice(out.lastIndexOf('\x1b[H'));
    expect(last()).toContain('zerostream');
    child.stdin.write('\x1b[B\x1b[B\x1b[B');
    await until(() => !/zerostream \d/.test(last()), 'the view has scrolled');
    // What is too long for a line goes on in the next one.
    child.stdin.write('\x1b[F');
    await until(() => /group \S+: [\s\S]*unsent/.test(last()), 'the end is shown');
    const drawn = last().split('\n');
    expect(
      Math.max(...drawn.map(line => stripVTControlCharacters(line).trimEnd().length)),
    ).toBeLessThanOrEqual(50);
    child.stdin.write('\x1b[H');
    await until(() => /zerostream \d/.test(last()), 'the beginning is shown');
    expect(out.includes('\x1b[1m')).toBe(colored);
    child.stdin.write('q');
    expect(await closed).toBe(0);
    expect(out.trimEnd().endsWith('\x1b[?1049l')).toBe(true);
  },
);

describe.skipIf(!hasBrowser)('the page', () => {
  let browser: Browser;
  beforeAll(async () => {
    browser = await launchBrowser();
  });
  afterAll(() => browser?.close());

  const open = async (url: string): Promise<{page: Page; errors: string[]}> => {
    const page = await browser.newPage({viewport: {width: 1400, height: 900}});
    const errors: string[] = [];
    page.on('pageerror', error => errors.push(String(error)));
    page.on('request', request => {
      const {host} = new URL(request.url());
      if (request.url().startsWith('http') && host !== new URL(url).host) errors.push(request.url());
    });
    await page.goto(url);
    return {page, errors};
  };

  test('--html writes one self-contained page, usable with the keyboard', async () => {
    const file = join(dir, 'pipeline.html');
    expect(await inspect('--password', PASSWORD, '--html', file)).toMatchObject({code: 0});
    expect(readFileSync(file, 'utf8')).not.toContain(PASSWORD);
    const {page, errors} = await open(`file://${file}`);
    const focused = () => page.locator(':focus').getAttribute('data-key');
    await page.getByRole('button', {name: /^decode/}).focus();
    await page.keyboard.press('ArrowRight');
    expect(await focused()).toBe('replicator/replication.batch');
    await page.keyboard.press('Enter');
    await page.getByText('replicator · replication.batch').waitFor();
    expect(await page.locator('.stage[aria-pressed=true]').getAttribute('data-key')).toBe(await focused());
    // In the picture as it lies: down to the copy, on to the worker, along to the writes, which run leftwards.
    const walk = [];
    for (const key of 'Down Down Right Right Right Right Right Down Left Up'.split(' ')) {
      await page.keyboard.press(`Arrow${key}`);
      walk.push((await focused())?.split('.')[1]);
    }
    expect(walk).toEqual([
      'index',
      'deliver',
      'gather',
      'prepare',
      'fold',
      'commit',
      'poke',
      'limit',
      'execute',
      'commit',
    ]);
    await page.keyboard.press('Space');
    await page.getByText('sync-worker-0 · client-group.commit').waitFor();
    await page.keyboard.press('Escape');
    await page.getByText('Choose a stage').waitFor();
    await page.getByText('was not rebuilt since the start').waitFor();
    const graph = page.locator('summary', {hasText: 'label order by name limit 10'});
    await graph.focus();
    await page.keyboard.press('Enter');
    await page.locator('.operators').getByText('take 10', {exact: true}).waitFor();
    await page.keyboard.press('Tab');
    await page.keyboard.press('Tab');
    await page.keyboard.press('Enter');
    await page.locator('.plan').first().waitFor();
    await page.getByRole('button', {name: /light and dark/}).click();
    expect(await page.evaluate('document.documentElement.dataset.theme')).toBe('dark');
    for (const [width, columns] of [
      [1400, 6],
      [1000, 3],
      [400, 2],
    ] as const) {
      await page.setViewportSize({width, height: 900});
      const tops = (await page.evaluate(
        '[...document.querySelectorAll(".vital")].map(card => card.offsetTop)',
      )) as number[];
      expect(tops.filter(top => top === tops[0])).toHaveLength(columns);
      expect(await isTooWide(page)).toBe(false);
    }
    expect(errors).toEqual([]);
  });

  test('--serve shows a live server, and says when it is gone', async () => {
    const child = spawn(
      process.execPath,
      ['dist/inspect-pipeline.js', '--url', daemon.url, '--password', PASSWORD, '--serve', '0'],
      {env: {PATH: process.env['PATH']}},
    );
    let out = '';
    child.stdout.on('data', chunk => (out += chunk));
    const closed = new Promise<number | null>(resolve => child.once('close', resolve));
    try {
      await until(() => out.includes('Ctrl-C ends'), 'the page is served');
      const url = /: (http:\/\/127\.0\.0\.1:\d+\/)/.exec(out)![1]!;
      const {page, errors} = await open(url);
      await page.getByRole('button', {name: /^apply/}).click();
      await page.getByText('replicator · replication.apply').waitFor();
      const total = async () =>
        Number(/· (\d+) in all/.exec((await page.locator('#detail dd').first().textContent()) ?? '')?.[1]);
      const before = await total();
      await client.zero.mutate.label.update({id: 'l1', name: 'second'});
      await until(async () => (await total()) > before, 'the change is counted');
      await page.getByText('Nothing is wrong.').waitFor();
      await db.query('ALTER TABLE label ADD COLUMN spot point');
      await page.locator('#faults li', {hasText: 'R014'}).getByText('label.spot has type point').waitFor();
      await db.query('ALTER TABLE label DROP COLUMN spot');
      await page.getByText('1 that are over').click();
      await page.locator('#faults td', {hasText: 'label.spot'}).waitFor();
      expect(errors).toEqual([]);
    } finally {
      child.kill('SIGTERM');
    }
    expect(await closed).toBe(0);
  });
});
