import {defaultLabel, standing, typeLabel} from './help-text.ts';
import {isListed, type OptionEntry, optionEntries} from './option-table.ts';

/** Every listed option as Markdown tables, one under each heading, for the documentation. */
export const optionsMarkdown = (): string => {
  const sections = new Map<string, OptionEntry[]>();
  for (const entry of optionEntries.filter(isListed))
    sections.set(entry.section, [...(sections.get(entry.section) ?? []), entry]);
  return [...sections]
    .map(([title, entries]) =>
      [
        `## ${title}\n`,
        '| Environment and flag | Type | Default | Meaning |',
        '| --- | --- | --- | --- |',
        ...entries.map(row),
      ].join('\n'),
    )
    .join('\n\n')
    .concat('\n');
};

const row = (entry: OptionEntry): string => {
  const cells = [
    `\`${entry.env}\`<br>\`${entry.flag}\``,
    typeLabel(entry).slice(1, -1),
    defaultLabel(entry).replace('default: ', ''),
    `${entry.option.about}${standing(entry)}`,
  ];
  return `| ${cells.map(cell => cell.replaceAll('|', '\\|')).join(' | ')} |`;
};
