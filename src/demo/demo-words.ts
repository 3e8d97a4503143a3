/** The vocabulary of the demonstration's rows. */

type Pick = <T>(items: readonly T[]) => T;

export const NAMES = [
  ...['Ada Hartmann', 'Bilal Rahman', 'Carmen Ortiz', 'Dmitri Volkov', 'Esther Okafor', 'Finn Larsen'],
  ...['Grace Lindqvist', 'Hiro Tanaka', 'Ines Ferreira', 'Jonas Weber', 'Kavya Iyer', 'Liam Doyle'],
  ...['Mei Chen', 'Noah Fischer', 'Olga Petrova', 'Pablo Reyes', 'Quentin Moreau', 'Rosa Bianchi'],
  ...['Samir Haddad', 'Tove Nilsen', 'Uma Krishnan', 'Viktor Novak', 'Wanda Kowalska', 'Yusuf Demir'],
] as const;

export const PROJECTS = [
  ['WEB', 'Website'],
  ['APP', 'Mobile app'],
  ['API', 'Public API'],
  ['PAY', 'Payments'],
  ['SRC', 'Search'],
  ['OPS', 'Operations'],
  ['DOC', 'Documentation'],
  ['ADM', 'Administration'],
] as const;

export const LABELS = [
  ['bug', '#c93a3a'],
  ['feature', '#2f6fde'],
  ['design', '#a04bc0'],
  ['performance', '#b0720a'],
  ['security', '#b8324f'],
  ['good first issue', '#0f8a6c'],
  ['regression', '#a3541b'],
  ['accessibility', '#187f9c'],
  ['needs reproduction', '#6b7280'],
  ['upstream', '#4b6a1f'],
] as const;

const PARTS = [
  ...[
    'the sign-in form',
    'the search box',
    'the invoice list',
    'the settings page',
    'CSV export',
    'the sidebar',
  ],
  ...['password reset', 'the date picker', 'webhook delivery', 'the image uploader', 'two-factor setup'],
  ...[
    'the onboarding tour',
    'the activity feed',
    'keyboard navigation',
    'the billing summary',
    'push messages',
  ],
  ...['the audit log', 'the API key screen', 'offline mode', 'the print view', 'team invitations', 'the map'],
] as const;

const PATTERNS = [
  (part: string) => `Fix flicker in ${part} on slow connections`,
  (part: string) => `${capital(part)} loses focus after saving`,
  (part: string) => `Let people undo changes in ${part}`,
  (part: string) => `${capital(part)} is unreadable in dark mode`,
  (part: string) => `Show a helpful message when ${part} fails`,
  (part: string) => `Remember the last choice in ${part}`,
  (part: string) => `${capital(part)} takes seconds with many rows`,
  (part: string) => `Add a shortcut for ${part}`,
  (part: string) => `Write down how ${part} works`,
  (part: string) => `Wrong time zone in ${part}`,
  (part: string) => `${capital(part)} does not work with a screen reader`,
  (part: string) => `Measure how ${part} is used`,
] as const;

const PLACES = ['Firefox', 'Safari', 'Chrome', 'an older phone', 'a tablet', 'a wide screen'] as const;
const EFFECTS = [
  'Happens every time.',
  'Seen about one time in ten.',
  'Two customers have asked for it.',
  'It came with the last release.',
  'Nobody is blocked, but it looks careless.',
] as const;

export const REMARKS = [
  'I can reproduce this.',
  'Could we ship this with the next release?',
  'The cause is in the shared component, so the other screens have it too.',
  'Looks good to me.',
  'I would rather keep it simple here.',
  'Added a test that fails without the change.',
  'A customer has just asked for this again.',
  'Done on my branch; review is welcome.',
  'Let us talk about it tomorrow.',
  'Waiting for an answer from design.',
] as const;

export const titleOf = (pick: Pick, num: number): string => {
  const part = PARTS[(num * 7) % PARTS.length]!;
  return pick(PATTERNS)(part);
};

export const describe = (pick: Pick): string => `Noticed on ${pick(PLACES)}. ${pick(EFFECTS)}`;

const capital = (text: string): string => text[0]!.toUpperCase() + text.slice(1);
