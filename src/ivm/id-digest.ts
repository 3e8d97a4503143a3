/**
 * Order-independent digest of a set of texts, 128 bits in hex: equal digest ⇒ equal set, as far as nobody makes a
 * collision on purpose (whoever did would only keep stale rows to himself). Many times faster than a cryptographic one.
 */
export const digestOfIds = (ids: Iterable<string>): string => {
  let a = 0;
  let b = 0;
  let c = 0;
  let d = 0;
  for (const id of ids) {
    let h1 = 0x9e3779b9 | 0;
    let h2 = 0x85ebca6b | 0;
    let h3 = 0xc2b2ae35 | 0;
    let h4 = 0x27d4eb2f | 0;
    for (let i = 0; i < id.length; i++) {
      const k = id.charCodeAt(i);
      h1 = h2 ^ Math.imul(h1 ^ k, 597399067);
      h2 = h3 ^ Math.imul(h2 ^ k, 2869860233);
      h3 = h4 ^ Math.imul(h3 ^ k, 951274213);
      h4 = h1 ^ Math.imul(h4 ^ k, 2716044179);
    }
    a ^= finish(h3 ^ (h1 >>> 18), 597399067);
    b ^= finish(h4 ^ (h2 >>> 22), 2869860233);
    c ^= finish(h1 ^ (h3 >>> 17), 951274213);
    d ^= finish(h2 ^ (h4 >>> 19), 2716044179);
  }
  return [a, b, c, d].map(part => (part >>> 0).toString(16).padStart(8, '0')).join('');
};

const finish = (h: number, factor: number): number => {
  const mixed = Math.imul(h ^ (h >>> 15), factor);
  return mixed ^ (mixed >>> 13);
};
