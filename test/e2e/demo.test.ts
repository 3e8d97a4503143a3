import {type ChildProcess, spawn} from 'node:child_process';
import {writeFileSync} from 'node:fs';
import {join} from 'node:path';
import pg from 'pg';
import type {Browser, Page} from 'playwright-core';
import {afterAll, beforeAll, describe, expect, test} from 'vitest';
import {hasBrowser, isTooWide, launchBrowser, screenshot, takesScreenshots} from '../helpers/browser.ts';
import {type DevMode, startDevMode, temporaryFolder} from '../helpers/dev-mode.ts';
import {until} from '../helpers/until.ts';

/** Two windows that share nothing but the server; what they show after a change came through it. */
describe.skipIf(!hasBrowser)('the demonstration in a browser', {timeout: 120_000}, () => {
  let folder: Awaited<ReturnType<typeof temporaryFolder>>;
  let dev: DevMode;
  let browser: Browser;
  let psql: pg.Client;
  let left: Page;
  let right: Page;
  const errors: string[] = [];

  beforeAll(async () => {
    folder = await temporaryFolder();
    dev = await startDevMode({cwd: folder.path});
    psql = new pg.Client(dev.connectionString());
    await psql.connect();
    browser = await launchBrowser();
    [left, right] = [await openWindow('light'), await openWindow('dark')];
  }, 180_000);

  afterAll(async () => {
    await browser?.close();
    await psql?.end().catch(() => {});
    await dev?.[Symbol.asyncDispose]();
    await folder?.[Symbol.asyncDispose]();
  });

  const openWindow = async (colorScheme: 'light' | 'dark') => {
    const context = await browser.newContext({colorScheme, viewport: {width: 1280, height: 860}});
    const page = await context.newPage();
    page.setDefaultTimeout(30_000);
    page.on('pageerror', error => errors.push(error.message));
    page.on('console', message => message.type() === 'error' && errors.push(message.text()));
    page.on('request', request => {
      if (!request.url().startsWith(dev.url)) errors.push(`asked elsewhere: ${request.url()}`);
    });
    await page.goto(dev.url);
    await page.getByText('In sync').waitFor();
    await page.locator('.row').nth(49).waitFor();
    return page;
  };
  const titles = (page: Page) => page.locator('.row .title').allTextContents();
  const row = (page: Page, title: string) => page.locator('.row', {hasText: title});
  const count = async (sql: string) =>
    Number((await psql.query(`SELECT count(*) AS n FROM ${sql}`)).rows[0].n);

  test('both windows show the same list', async () => {
    expect(await titles(left)).toHaveLength(50);
    expect(await titles(right)).toEqual(await titles(left));
  });

  test('nothing lies outside of the window, and the rows are as they should look', async () => {
    for (const [page, at, name] of [
      [left, 3, 'demo-light'],
      [right, 7, 'demo-dark'],
    ] as const) {
      await page.locator('.row').nth(at).click();
      await page.getByRole('textbox', {name: 'Comment'}).waitFor();
      const {width, height} = page.viewportSize()!;
      const boxes = await Promise.all(
        [page.locator('.row').nth(at), page.locator('.detail')].map(part => part.boundingBox()),
      );
      // List and details stand beside each other.
      expect(boxes[0]!.x + boxes[0]!.width).toBeLessThanOrEqual(boxes[1]!.x + 1);
      expect(boxes[1]!.x + boxes[1]!.width).toBeLessThanOrEqual(width);
      expect(boxes[1]!.y).toBeLessThan(height);
      expect(await isTooWide(page)).toBe(false);
      await screenshot(page, name);
    }
  });

  test('what is typed in one window shows in the other', async () => {
    const clicked = await left.locator('.row .title').nth(4).textContent();
    await left.locator('.row').nth(4).click();
    const title = left.getByRole('textbox', {name: 'Title'});
    // The issue that was open before stays for a moment.
    await until(async () => (await title.inputValue()) === clicked, 'the issue is open');
    await title.fill('Seen in both windows');
    await row(right, 'Seen in both windows').waitFor();
    // It was changed last, so it is first.
    expect((await titles(right))[0]).toBe('Seen in both windows');
    expect(await count(`issue WHERE title = 'Seen in both windows'`)).toBe(1);
  });

  test('and back: status, label and comment of the same issue', async () => {
    await row(right, 'Seen in both windows').click();
    await until(
      async () => (await right.getByRole('textbox', {name: 'Title'}).inputValue()) === 'Seen in both windows',
      'the issue is open on the right',
    );
    await right.getByRole('group', {name: 'Status'}).getByRole('button', {name: 'In progress'}).click();
    await left.locator('.segments [aria-pressed=true]', {hasText: 'In progress'}).waitFor();
    const label = (page: Page) =>
      page.getByRole('group', {name: 'Labels'}).getByRole('button', {name: 'security'});
    const before = await label(left).getAttribute('aria-pressed');
    await label(right).click();
    await until(async () => (await label(left).getAttribute('aria-pressed')) !== before, 'the label follows');
    await right.getByRole('textbox', {name: 'Comment'}).fill('Said on the right');
    await right.getByRole('button', {name: 'Comment', exact: true}).click();
    await left.locator('.comments').getByText('Said on the right').waitFor();
  });

  test('an UPDATE from psql shows in both', async () => {
    await psql.query(`UPDATE issue SET title = 'Changed by psql', updated = now() WHERE num = 7`);
    for (const page of [left, right]) await row(page, 'Changed by psql').waitFor();
    await psql.query(`DELETE FROM issue WHERE num = 7`);
    for (const page of [left, right]) await row(page, 'Changed by psql').waitFor({state: 'detached'});
  });

  test('the example of the page runs in PostgreSQL', async () => {
    const before = await count('issue WHERE priority = 1');
    await left.getByRole('button', {name: 'Run it'}).click();
    await left.getByText(/^Committed/).waitFor();
    expect(await count('issue WHERE priority = 1')).toBeGreaterThanOrEqual(before);
    // Nobody else's page may press it.
    expect((await fetch(`${dev.url}demo/example`, {method: 'POST'})).status).toBe(403);
  });

  test('an issue added in one window shows in the other, with the number that PostgreSQL gave', async () => {
    await right.keyboard.press('Escape');
    await right.keyboard.press('n');
    await right.getByRole('textbox', {name: 'Title'}).last().fill('Added on the right');
    await right.getByRole('button', {name: 'Add issue'}).click();
    await row(left, 'Added on the right').waitFor();
    const key = row(left, 'Added on the right').locator('.key-of');
    await until(async () => /^[A-Z]+-\d+$/.test((await key.textContent()) ?? ''), 'it has a number');
    expect(await count(`issue WHERE title = 'Added on the right' AND num > 2400`)).toBe(1);
  });

  test('filters, order and limit are the query', async () => {
    await left.keyboard.press('Escape');
    await left.keyboard.press('Escape');
    await left.getByRole('button', {name: 'Show more'}).click();
    await left.locator('.row').nth(99).waitFor();
    await left.getByLabel('Status', {exact: true}).first().selectOption('done');
    await left.getByLabel('Label', {exact: true}).selectOption('security');
    await left.getByLabel('Order').selectOption('title');
    await left.getByRole('searchbox').fill('dark mode');
    const {rows} = await psql.query<{title: string}>(
      `SELECT title FROM issue i WHERE status = 'done' AND title ILIKE '%dark mode%' AND EXISTS
         (SELECT FROM issue_label JOIN label l ON l.id = label_id WHERE issue_id = i.id AND l.name = 'security')
       ORDER BY title, id LIMIT 50`,
    );
    expect(rows.length).toBeGreaterThan(0);
    const wanted = JSON.stringify(rows.map(({title}) => title));
    await until(
      async () => JSON.stringify(await titles(left)) === wanted,
      'the list is what PostgreSQL says',
    );
  });

  test('the keyboard walks through the list', async () => {
    await right.keyboard.press('Escape');
    await right.locator('.row').first().focus();
    await right.keyboard.press('ArrowDown');
    const second = (await titles(right))[1]!;
    expect(await right.locator('.row:focus .title').textContent()).toBe(second);
    await until(
      async () => (await right.getByRole('textbox', {name: 'Title'}).first().inputValue()) === second,
      'it opens',
    );
  });

  test('the inspector shows how the changes flow', async () => {
    const inspector = await startInspector(dev.port);
    const load = writeSteadily(psql);
    await left.locator('.row').first().click();
    try {
      for (const colorScheme of ['light', 'dark'] as const) {
        const page = await browser.newPage({colorScheme, viewport: {width: 1400, height: 1180}});
        await page.goto(inspector.url);
        await page.locator('.wire.flowing').nth(5).waitFor({state: 'attached'});
        await page.getByText(/commit → poke/).waitFor();
        // Curves need some seconds until they are any.
        for (let second = 0; takesScreenshots && second < 25; second++) {
          await left
            .getByRole('group', {name: 'Status'})
            .getByRole('button')
            .nth(second % 3)
            .click();
          await page.waitForTimeout(1000);
        }
        await page.locator('#graphs summary').first().click();
        await page.locator('.operators').waitFor();
        expect(await isTooWide(page)).toBe(false);
        expect(await overlaps(page)).toEqual([]);
        await screenshot(page, `inspector-${colorScheme}`);
        await page.close();
      }
    } finally {
      await load.stop();
      inspector.process.kill('SIGINT');
    }
  });

  test('no error was shown, and nothing was asked of elsewhere', () => {
    expect(errors).toEqual([]);
  });

  test('a new column does not disturb anybody', async () => {
    await psql.query(`ALTER TABLE issue ADD COLUMN estimate int`);
    await psql.query(`CREATE TABLE sprint (id text PRIMARY KEY)`);
    await psql.query(
      `UPDATE issue SET title = 'After the change', estimate = 3, updated = now() WHERE num = 8`,
    );
    await row(right, 'After the change').waitFor();
    await right.getByText('In sync').waitFor();
  });

  test('after a stop the page says so, and goes on with the next start', async () => {
    await psql.end();
    expect(await dev.stop('SIGINT')).toBe(0);
    expect(dev.output()).toContain('All has ended');
    await expect(new pg.Client(dev.connectionString()).connect()).rejects.toThrow(/ECONNREFUSED/);
    await right.locator('.connection:not(.up)').waitFor();
    dev = await startDevMode({cwd: folder.path, port: dev.port});
    await right.getByText('In sync').waitFor({timeout: 60_000});
    await row(right, 'After the change').waitFor();
  });
});

/** `inspect-pipeline --serve` on some free port. */
const startInspector = async (port: number): Promise<{process: ChildProcess; url: string}> => {
  const child = spawn(
    process.execPath,
    ['dist/inspect-pipeline.js', '--url', `http://127.0.0.1:${port}`, '--serve', '0'],
    {env: {PATH: process.env['PATH']}},
  );
  let out = '';
  child.stdout.on('data', chunk => (out += chunk));
  await until(() => out.includes('Ctrl-C ends'), 'the page is served');
  return {process: child, url: /: (http:\/\/\S+)/.exec(out)![1]!};
};

/** Small changes, some more and some fewer a second, until it is stopped. */
const writeSteadily = (client: pg.Client) => {
  let writing = true;
  const done = (async () => {
    for (let i = 0; writing; i++) {
      await client.query(
        'UPDATE issue SET priority = 1 + (priority + 1) % 4, updated = now() WHERE num % 300 = $1',
        [i % 300],
      );
      await new Promise(resolve => setTimeout(resolve, 40 + 30 * Math.sin(i / 25)));
    }
  })();
  return {
    stop: () => {
      writing = false;
      return done;
    },
  };
};

/** Names of the stages in the picture that lie over another one. */
const overlaps = async (page: Page): Promise<string[]> => {
  const cards = await page.locator('.stage .card').all();
  const boxes = await Promise.all(cards.map(card => card.boundingBox()));
  const names = await page
    .locator('.stage')
    .evaluateAll(stages => stages.map(s => s.getAttribute('data-key')));
  return boxes.flatMap((a, i) =>
    boxes.some(
      (b, j) =>
        i !== j &&
        a!.x < b!.x + b!.width &&
        b!.x < a!.x + a!.width &&
        a!.y < b!.y + b!.height &&
        b!.y < a!.y + a!.height,
    )
      ? [names[i] ?? '']
      : [],
  );
};

test.skipIf(!hasBrowser)('with a schema of one’s own, the page shows its tables live', async () => {
  await using folder = await temporaryFolder();
  const file = join(folder.path, 'schema.sql');
  writeFileSync(
    file,
    `CREATE TABLE animal (id int PRIMARY KEY, name text, born date, tags text[]);
     INSERT INTO animal VALUES (1, 'owl', '2020-02-03', '{night}'), (2, 'cat', NULL, '{}');
     CREATE TABLE "zoo keeper" (id int PRIMARY KEY); CREATE TABLE visitor (id int PRIMARY KEY)`,
  );
  await using dev = await startDevMode({cwd: folder.path, args: ['--sql', file]});
  const browser = await launchBrowser();
  try {
    const page = await browser.newPage();
    const errors: string[] = [];
    page.on('pageerror', error => errors.push(error.message));
    await page.goto(dev.url);
    const cells = () => page.locator('tbody tr').allInnerTexts();
    await until(async () => (await cells()).length === 2, 'the rows are there');
    expect(await cells()).toEqual(['1\towl\t2020-02-03\t["night"]', '2\tcat\t∅\t[]']);
    expect(await page.getByRole('navigation').getByRole('button').allInnerTexts()).toEqual([
      'animal',
      'visitor',
    ]);
    await page.getByRole('button', {name: 'name'}).click();
    await until(async () => (await cells())[0]!.includes('cat'), 'they are sorted by name');
    const psql = new pg.Client(dev.connectionString());
    await psql.connect();
    await psql.query(`INSERT INTO animal VALUES (3, 'ape', now(), NULL)`);
    await psql.end();
    await until(async () => (await cells())[0]!.includes('ape'), 'a new row shows in its place');
    expect(errors).toEqual([]);
  } finally {
    await browser.close();
  }
});
