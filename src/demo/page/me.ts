/** As whom this window writes; each has its own, so that two windows are two people. */
const KEY = 'zerostream-me';

export const me = (): string => {
  const known = sessionStorage.getItem(KEY);
  if (known) return known;
  const somebody = `u${1 + Math.floor(Math.random() * 24)}`;
  setMe(somebody);
  return somebody;
};

export const setMe = (id: string): void => sessionStorage.setItem(KEY, id);
