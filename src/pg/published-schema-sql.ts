/**
 * One statement whose single value is the published schema as JSON: the same text serves the reader and the event trigger,
 * so that both see one picture (replication.md §1.6). `publications` is an SQL expression of type text[].
 */
export const publishedSchemaSql = (publications: string): string => `
  WITH RECURSIVE domain_steps AS (
    SELECT d.oid, d.typbasetype AS base, d.typtypmod AS typmod, d.typndims AS dims
    FROM pg_catalog.pg_type d WHERE d.typtype = 'd'
    UNION ALL
    SELECT s.oid, d.typbasetype, CASE WHEN s.typmod = -1 THEN d.typtypmod ELSE s.typmod END, GREATEST(s.dims, d.typndims)
    FROM domain_steps s JOIN pg_catalog.pg_type d ON d.oid = s.base AND d.typtype = 'd'
  ), domains AS (
    SELECT s.* FROM domain_steps s JOIN pg_catalog.pg_type b ON b.oid = s.base WHERE b.typtype <> 'd'
  ), members AS (
    SELECT c.oid, n.oid AS schema_oid, n.nspname AS schema, c.relname AS name, c.relreplident, c.relkind, c.relfilenode,
      COALESCE(min(p.attnames::text)::text[], '{}') AS attnames, min(p.attnames::text) <> max(p.attnames::text) AS mixed,
      json_object_agg(p.pubname, json_build_object('rowFilter', p.rowfilter) ORDER BY p.pubname) AS publications
    FROM pg_catalog.pg_publication_tables p
    JOIN pg_catalog.pg_namespace n ON n.nspname = p.schemaname
    JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = p.tablename
    WHERE p.pubname = ANY(${publications})
    GROUP BY c.oid, n.oid
  ), columns AS (
    SELECT a.attrelid, json_agg(json_build_object(
        'name', a.attname, 'pos', a.attnum, 'typeOid', a.atttypid::int8,
        'typmod', CASE WHEN a.atttypmod = -1 THEN COALESCE(o.typmod, -1) ELSE a.atttypmod END,
        'dataType', CASE WHEN is_array.yes
          THEN COALESCE(eb.typname, e.typname) || repeat('[]', GREATEST(a.attndims, o.dims, 1)) ELSE t.typname::text END,
        'typeClass', t.typtype,
        'elementClass', CASE WHEN is_array.yes THEN COALESCE(eb.typtype, e.typtype) END,
        'labels', (SELECT json_object_agg(v.oid::int8, v.enumlabel ORDER BY v.oid) FROM pg_catalog.pg_enum v
          WHERE v.enumtypid = CASE WHEN is_array.yes THEN COALESCE(eb.oid, e.oid) ELSE t.oid END),
        'notNull', a.attnotnull,
        'dflt', pg_catalog.pg_get_expr(d.adbin, d.adrelid),
        'missing', CASE WHEN a.atthasmissing THEN (a.attmissingval::text::text[])[1] END
      ) ORDER BY a.attnum) AS list
    FROM members m
    JOIN pg_catalog.pg_attribute a ON a.attrelid = m.oid
    LEFT JOIN domains o ON o.oid = a.atttypid
    JOIN pg_catalog.pg_type t ON t.oid = COALESCE(o.base, a.atttypid)
    -- int2vector and its like are arrays in the catalog but do not print as such.
    CROSS JOIN LATERAL (SELECT t.typelem <> 0 AND t.typinput = 'pg_catalog.array_in'::regproc AS yes) is_array
    LEFT JOIN pg_catalog.pg_type e ON e.oid = t.typelem
    LEFT JOIN domains eo ON eo.oid = e.oid
    LEFT JOIN pg_catalog.pg_type eb ON eb.oid = eo.base
    LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE a.attnum > 0 AND NOT a.attisdropped AND a.attname::text = ANY(m.attnames)
      -- PostgreSQL 15 lists generated columns in a publication although it does not stream them.
      AND (a.attgenerated = '' OR current_setting('server_version_num')::int >= 160000)
    GROUP BY a.attrelid
  ), indexes AS (
    SELECT i.indrelid, m.schema, m.name AS table_name, ic.relname AS name, i.indisunique, i.indisprimary, i.indisreplident,
      i.indimmediate,
      -- Names from the table's attributes: those of an index do not follow a rename.
      (SELECT json_agg(json_build_object('name', a.attname,
          'direction', CASE WHEN i.indoption[k.ord - 1] & 1 = 1 THEN 'DESC' ELSE 'ASC' END) ORDER BY k.ord)
        FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, ord)
        JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
        WHERE k.ord <= i.indnkeyatts) AS columns
    FROM members m
    JOIN pg_catalog.pg_index i ON i.indrelid = m.oid
    JOIN pg_catalog.pg_class ic ON ic.oid = i.indexrelid
    WHERE i.indpred IS NULL AND i.indexprs IS NULL AND i.indisvalid
      AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_constraint c WHERE c.conindid = i.indexrelid AND c.contype = 'x')
  )
  SELECT json_build_object(
    'tables', COALESCE((SELECT json_agg(json_build_object(
        'oid', m.oid::int8, 'schemaOid', m.schema_oid::int8, 'schema', m.schema, 'name', m.name,
        'replicaIdentity', m.relreplident, 'mixed', m.mixed, 'publications', m.publications,
        'partial', EXISTS (SELECT 1 FROM pg_catalog.pg_attribute a WHERE a.attrelid = m.oid AND a.attnum > 0
          AND NOT a.attisdropped AND a.attgenerated = '' AND NOT a.attname::text = ANY(m.attnames)),
        'storage', CASE WHEN m.relkind = 'p' THEN (
            SELECT COALESCE(json_agg(l.oid::int8 || ':' || l.relfilenode ORDER BY l.oid), '[]')
            FROM pg_catalog.pg_partition_tree(m.oid) tree JOIN pg_catalog.pg_class l ON l.oid = tree.relid WHERE tree.isleaf)
          ELSE json_build_array(m.oid::int8 || ':' || m.relfilenode) END,
        'columns', COALESCE(columns.list, '[]'))
      ORDER BY m.schema, m.name) FROM members m LEFT JOIN columns ON columns.attrelid = m.oid), '[]'),
    'indexes', COALESCE((SELECT json_agg(json_build_object(
        'oid', i.indrelid::int8, 'schema', i.schema, 'tableName', i.table_name, 'name', i.name, 'unique', i.indisunique,
        'isPrimaryKey', i.indisprimary, 'isReplicaIdentity', i.indisreplident, 'isImmediate', i.indimmediate,
        'columns', i.columns)
      ORDER BY i.schema, i.table_name, i.indisprimary DESC, i.name) FROM indexes i), '[]'))`;
