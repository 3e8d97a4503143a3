import {existsSync, readFileSync} from 'node:fs';
import type {QueryAnalysis} from '../ivm/explain.ts';

/** How one query is answered by a replica file, without any server. @throws Error with what is wrong with a file. */
export const explainAst = async (astFile: string, replicaFile: string): Promise<QueryAnalysis> => {
  // SQLite and the query engine are of no use to the other forms of the tool.
  const [{analyzeReplica}, {astSchema}] = await Promise.all([
    import('../ivm/explain.ts'),
    import('../protocol/ast-schema.ts'),
  ]);
  if (!existsSync(replicaFile))
    throw new Error(`there is no replica at ${replicaFile}; a server's is where its ZERO_REPLICA_FILE says.`);
  let json: unknown;
  try {
    json = JSON.parse(readFileSync(astFile === '-' ? 0 : astFile, 'utf8'));
  } catch (error) {
    const {code, message} = error as NodeJS.ErrnoException;
    throw new Error(
      code ? `${astFile} cannot be read (${code}).` : `${astFile} holds no JSON (${message}).`,
      {cause: error},
    );
  }
  const parsed = astSchema.safeParse(json);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw new Error(
      `${astFile} is no query: ${issue?.path.join('.') || 'the whole'}: ${issue?.message ?? 'malformed'}.`,
    );
  }
  return analyzeReplica(parsed.data, replicaFile);
};
