/**
 * One statement whose single value is the published schema as JSON: the same text serves the reader and the event trigger,
 * so that both see one picture (replication.md §1.6). `publications` is an SQL expression of type text[].
 *
 * It reads catalogs alone, by the statement's snapshot, and locks no table: `pg_publication_tables`, `pg_partition_tree()`
 * and `pg_get_expr()` would, and an event trigger that locks other tables than its command's makes deadlocks. Only with
 * `filterTexts` row filters are printed, which locks the tables that have one.
 */
export const publishedSchemaSql = (publications: string, filterTexts: boolean): string => `
  WITH RECURSIVE domain_steps AS (
    SELECT d.oid, d.typbasetype AS base, d.typtypmod AS typmod, d.typndims AS dims
    FROM pg_catalog.pg_type d WHERE d.typtype = 'd'
    UNION ALL
    SELECT s.oid, d.typbasetype, CASE WHEN s.typmod = -1 THEN d.typtypmod ELSE s.typmod END, GREATEST(s.dims, d.typndims)
    FROM domain_steps s JOIN pg_catalog.pg_type d ON d.oid = s.base AND d.typtype = 'd'
  ), domains AS (
    SELECT s.* FROM domain_steps s JOIN pg_catalog.pg_type b ON b.oid = s.base WHERE b.typtype <> 'd'
  ), ancestors AS (
    SELECT i.inhrelid AS relid, i.inhparent AS ancestor
    FROM pg_catalog.pg_inherits i JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid AND c.relispartition
    UNION ALL
    SELECT a.relid, i.inhparent FROM ancestors a
    JOIN pg_catalog.pg_class c ON c.oid = a.ancestor AND c.relispartition
    JOIN pg_catalog.pg_inherits i ON i.inhrelid = a.ancestor
  ), pubs AS (
    -- Generated columns are an option from version 18 on.
    SELECT p.oid, p.pubname, p.puballtables, p.pubviaroot, COALESCE(to_jsonb(p)->>'pubgencols', 'n') AS generated
    FROM pg_catalog.pg_publication p WHERE p.pubname = ANY(${publications})
  ), in_schema AS (
    SELECT s.pnpubid AS pub, s.pnnspid AS schema FROM pg_catalog.pg_publication_namespace s JOIN pubs ON pubs.oid = s.pnpubid
  ), named AS MATERIALIZED (
    SELECT p.oid AS pub, p.pubviaroot, c.oid AS relid, c.relkind
    FROM pubs p JOIN pg_catalog.pg_class c
      ON c.relkind IN ('r', 'p') AND c.relpersistence = 'p' AND c.oid >= 16384 AND (p.puballtables
        OR EXISTS (SELECT 1 FROM pg_catalog.pg_publication_rel r WHERE r.prpubid = p.oid AND r.prrelid = c.oid)
        OR EXISTS (SELECT 1 FROM in_schema s WHERE s.pub = p.oid AND s.schema = c.relnamespace))
  ), published AS (
    -- Through the root: whatever has no published ancestor. Otherwise: the tables that hold rows.
    SELECT n.pub, n.relid FROM named n WHERE n.pubviaroot AND NOT EXISTS (
      SELECT 1 FROM ancestors a JOIN named m ON m.pub = n.pub AND m.relid = a.ancestor WHERE a.relid = n.relid)
    UNION
    SELECT n.pub, n.relid FROM named n WHERE NOT n.pubviaroot AND n.relkind = 'r'
    UNION
    SELECT n.pub, a.relid FROM named n JOIN ancestors a ON a.ancestor = n.relid
    JOIN pg_catalog.pg_class c ON c.oid = a.relid AND c.relkind = 'r' WHERE NOT n.pubviaroot
  ), details AS MATERIALIZED (
    SELECT d.relid, p.pubname, r.prqual, r.prrelid, ARRAY(
        SELECT a.attnum FROM pg_catalog.pg_attribute a
        WHERE a.attrelid = d.relid AND a.attnum > 0 AND NOT a.attisdropped AND CASE WHEN r.prattrs IS NULL
          THEN a.attgenerated = '' OR (a.attgenerated = 's' AND p.generated = 's') ELSE a.attnum = ANY(r.prattrs::int2[]) END
        ORDER BY a.attnum)::text AS attnums
    FROM published d JOIN pubs p ON p.oid = d.pub
    JOIN pg_catalog.pg_class c ON c.oid = d.relid
    -- A publication of everything, or of the schema, knows neither column lists nor filters.
    LEFT JOIN pg_catalog.pg_publication_rel r ON r.prpubid = d.pub AND r.prrelid = d.relid AND NOT p.puballtables
      AND NOT EXISTS (SELECT 1 FROM in_schema s WHERE s.pub = d.pub AND s.schema = c.relnamespace)
  ), members AS MATERIALIZED (
    SELECT c.oid, n.oid AS schema_oid, n.nspname AS schema, c.relname AS name, c.relreplident, c.relkind, c.relfilenode,
      min(d.attnums)::int2[] AS attnums, min(d.attnums) <> max(d.attnums) AS mixed,
      json_object_agg(d.pubname, json_build_object(
        'rowFilter', ${filterTexts ? 'pg_catalog.pg_get_expr(d.prqual, d.prrelid)' : 'NULL::text'},
        'filterDigest', md5(d.prqual::text)) ORDER BY d.pubname) AS publications
    FROM details d
    JOIN pg_catalog.pg_class c ON c.oid = d.relid
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    GROUP BY c.oid, n.oid
  ), columns AS MATERIALIZED (
    -- Once for all tables: the planner does not know how many there are, and would do it for each.
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
        'dflt', md5(d.adbin::text),
        'missing', CASE WHEN a.atthasmissing THEN (a.attmissingval::text::text[])[1] END
      ) ORDER BY a.attnum) AS list
    FROM members m
    JOIN pg_catalog.pg_attribute a ON a.attrelid = m.oid AND a.attnum = ANY(m.attnums)
    LEFT JOIN domains o ON o.oid = a.atttypid
    JOIN pg_catalog.pg_type t ON t.oid = COALESCE(o.base, a.atttypid)
    -- int2vector and its like are arrays in the catalog but do not print as such.
    CROSS JOIN LATERAL (SELECT t.typelem <> 0 AND t.typinput = 'pg_catalog.array_in'::regproc AS yes) is_array
    LEFT JOIN pg_catalog.pg_type e ON e.oid = t.typelem
    LEFT JOIN domains eo ON eo.oid = e.oid
    LEFT JOIN pg_catalog.pg_type eb ON eb.oid = eo.base
    LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    GROUP BY a.attrelid
  ), indexes AS MATERIALIZED (
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
    WHERE i.indpred IS NULL AND i.indexprs IS NULL AND i.indisvalid AND NOT i.indisexclusion
  )
  SELECT json_build_object(
    'tables', COALESCE((SELECT json_agg(json_build_object(
        'oid', m.oid::int8, 'schemaOid', m.schema_oid::int8, 'schema', m.schema, 'name', m.name,
        'replicaIdentity', m.relreplident, 'mixed', m.mixed, 'publications', m.publications,
        'partial', EXISTS (SELECT 1 FROM pg_catalog.pg_attribute a WHERE a.attrelid = m.oid AND a.attnum > 0
          AND NOT a.attisdropped AND a.attgenerated = '' AND NOT a.attnum = ANY(m.attnums)),
        'storage', CASE WHEN m.relkind = 'p' THEN (
            SELECT COALESCE(json_agg(l.oid::int8 || ':' || l.relfilenode ORDER BY l.oid), '[]')
            FROM ancestors a JOIN pg_catalog.pg_class l ON l.oid = a.relid AND l.relkind <> 'p' WHERE a.ancestor = m.oid)
          ELSE json_build_array(m.oid::int8 || ':' || m.relfilenode) END,
        'columns', COALESCE(columns.list, '[]'))
      ORDER BY m.schema, m.name) FROM members m LEFT JOIN columns ON columns.attrelid = m.oid), '[]'),
    'indexes', COALESCE((SELECT json_agg(json_build_object(
        'oid', i.indrelid::int8, 'schema', i.schema, 'tableName', i.table_name, 'name', i.name, 'unique', i.indisunique,
        'isPrimaryKey', i.indisprimary, 'isReplicaIdentity', i.indisreplident, 'isImmediate', i.indimmediate,
        'columns', i.columns)
      ORDER BY i.schema, i.table_name, i.indisprimary DESC, i.name) FROM indexes i), '[]'))`;
