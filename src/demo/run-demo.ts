export const runDemo = async (): Promise<number> => 1;
