export const runFixtureReplay = async (_: readonly string[]): Promise<number> => 1;
