import type {AST, Condition, SimpleCondition} from '../zql/ast.ts';

/** A query in one line, as one would say it: `issue where status = "done" order by updated desc limit 50 with labels`. */
export const queryLine = (ast: AST): string =>
  [
    ast.table,
    ast.where && `where ${conditionText(ast.where)}`,
    ast.orderBy?.length &&
      `order by ${ast.orderBy.map(([column, way]) => (way === 'desc' ? `${column} desc` : column)).join(', ')}`,
    ast.limit !== undefined && `limit ${ast.limit}`,
    ast.related?.length && `with ${ast.related.map(({subquery}) => nested(subquery)).join(', ')}`,
  ]
    .filter(Boolean)
    .join(' ');

const conditionText = (condition: Condition): string => {
  switch (condition.type) {
    case 'simple':
      return `${sideText(condition.left)} ${condition.op} ${sideText(condition.right)}`;
    case 'and':
    case 'or': {
      const parts = condition.conditions.map(part =>
        part.type === 'and' || part.type === 'or' ? `(${conditionText(part)})` : conditionText(part),
      );
      return parts.length ? parts.join(` ${condition.type} `) : condition.type === 'and' ? 'true' : 'false';
    }
    case 'correlatedSubquery':
      return `${condition.op === 'EXISTS' ? 'exists' : 'not exists'} ${nested(condition.related.subquery)}`;
  }
};

const sideText = (side: SimpleCondition['left'] | SimpleCondition['right']): string => {
  switch (side.type) {
    case 'column':
      return side.name;
    case 'static':
      return `${side.anchor}.${[side.field].flat().join('.')}`;
    case 'literal': {
      const text = JSON.stringify(side.value);
      return text.length > LONGEST ? `${text.slice(0, LONGEST)}…` : text;
    }
  }
};

const LONGEST = 24;

/** What is below it in parentheses, unless there is nothing to say. */
const nested = (ast: AST): string => {
  const {table, ...rest} = ast;
  const line = queryLine({...rest, table: ''}).trim();
  const name = ast.alias?.replace(/^zsubq_/, '') ?? table;
  return line ? `${name} (${line})` : name;
};
