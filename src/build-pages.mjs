// Bundles the pages that run in a browser: without parts from elsewhere.
import {copyFile, mkdir, readFile, rename, writeFile} from 'node:fs/promises';
import {build} from 'esbuild';

/** Writes a file that others may read at any moment: the old one, or the new one whole. */
export const put = async (path, contents, mode = 0o644) => {
  const next = `${path}.${process.pid}`;
  await writeFile(next, contents, {mode});
  await rename(next, path);
};

/** Bundles `<folder>/main.ts` and `page.css` into the folder's `page.html`, as dist/<name>. */
export const buildPage = async (folder, name) => {
  const bundled = async entry =>
    (
      await build({
        entryPoints: [`${folder}/${entry}`],
        bundle: true,
        minify: true,
        format: 'iife',
        target: 'es2022',
        write: false,
        logLevel: 'warning',
      })
    ).outputFiles[0].text.trim();
  const [script, style, template] = await Promise.all([
    bundled('main.ts'),
    readFile(`${folder}/page.css`, 'utf8'),
    readFile(`${folder}/page.html`, 'utf8'),
  ]);
  await put(
    `dist/${name}`,
    template
      .replace('__STYLE__', () => style)
      .replace('__SCRIPT__', () => script.replaceAll('</script', '<\\/script')),
  );
};

/** Bundles `<folder>/main.ts` and `page.css` beside its `index.html` and `icon.svg`, into dist/<name>/. */
export const buildSite = async (folder, name) => {
  const target = `dist/${name}`;
  await mkdir(target, {recursive: true});
  await build({
    entryPoints: [
      {in: `${folder}/main.ts`, out: 'page'},
      {in: `${folder}/page.css`, out: 'page'},
    ],
    outdir: target,
    bundle: true,
    minify: true,
    format: 'esm',
    target: ['chrome110', 'firefox115', 'safari16.4'],
    legalComments: 'none',
    logLevel: 'warning',
  });
  for (const file of ['index.html', 'icon.svg']) await copyFile(`${folder}/${file}`, `${target}/${file}`);
};
