/** The same function, but called once per object: what it gave is kept as long as the object lives. */
export const remembered = <In extends object, Out>(compute: (input: In) => Out): ((input: In) => Out) => {
  const known = new WeakMap<In, {readonly value: Out}>();
  return input => {
    let entry = known.get(input);
    if (!entry) known.set(input, (entry = {value: compute(input)}));
    return entry.value;
  };
};
