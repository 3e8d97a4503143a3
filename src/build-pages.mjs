// Bundles the pages that run in a browser, each into one file without outside parts.
import {readFile, writeFile} from 'node:fs/promises';
import {build} from 'esbuild';

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
  await writeFile(
    `dist/${name}`,
    template
      .replace('__STYLE__', () => style)
      .replace('__SCRIPT__', () => script.replaceAll('</script', '<\\/script')),
  );
};
