import {existsSync} from 'node:fs';
import {mkdir, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {type Browser, chromium, type Page} from 'playwright-core';

const CHROMIUM = process.env['CHROMIUM'] ?? '/usr/bin/chromium';

/** Tests of pages are left out where there is none, which they say. */
export const hasBrowser = existsSync(CHROMIUM);

if (!hasBrowser) console.warn(`There is no ${CHROMIUM}: pages are not tested. Set CHROMIUM to one.`);

export const launchBrowser = (): Promise<Browser> =>
  chromium.launch({
    executablePath: CHROMIUM,
    args: [
      ...['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run'],
      ...['--disable-background-networking', '--disable-component-update', '--disable-sync'],
    ],
  });

const folder = process.env['ZS_SCREENSHOTS'];

/** True in `npm run screenshots`: then pages are given the time to show something worth looking at. */
export const takesScreenshots = folder !== undefined;

/** Writes what a page shows into the folder of screenshots, if they are asked for. WebP is a fifth of PNG for such pages. */
export const screenshot = async (page: Page, name: string): Promise<void> => {
  if (folder === undefined) return;
  const session = await page.context().newCDPSession(page);
  const {data} = await session.send('Page.captureScreenshot', {format: 'webp', quality: 82});
  await session.detach();
  await mkdir(folder, {recursive: true});
  await writeFile(join(folder, `${name}.webp`), Buffer.from(data, 'base64'));
};

/** Whether something reaches over the right edge of the window. */
export const isTooWide = (page: Page): Promise<boolean> =>
  page.evaluate('document.documentElement.scrollWidth > innerWidth');
