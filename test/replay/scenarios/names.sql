-- @about quoted and mixed-case names, reserved words, other schemas, columns with dots and dashes
CREATE SCHEMA "Other-Schema";
CREATE TABLE "MixedCase" ("Id" int PRIMARY KEY, "camelCase" text, "with-dash" int, "with.dot" text, "select" bool);
CREATE TABLE "Other-Schema"."order" (_id text PRIMARY KEY, "group" text, "MixedCase" int);
CREATE TABLE "order" ("table" int, "Where" int, v text, PRIMARY KEY ("Where", "table"));
CREATE UNIQUE INDEX "Unique Name" ON "MixedCase" ("with-dash" DESC, "Id");
INSERT INTO "MixedCase" VALUES (1, 'a', 1, 'x', true);
INSERT INTO "Other-Schema"."order" VALUES ('é', 'g', 1);
-- @changes
INSERT INTO "MixedCase" VALUES (2, 'b', 2, NULL, false);
INSERT INTO "Other-Schema"."order" VALUES ('"quoted"', NULL, 2);
INSERT INTO "order" VALUES (1, 2, 'one'), (2, 1, 'two');
---
UPDATE "MixedCase" SET "with.dot" = 'dotted', "select" = NULL WHERE "Id" = 1;
UPDATE "Other-Schema"."order" SET _id = '\u0027' WHERE _id = 'é';
UPDATE "order" SET "Where" = 3 WHERE "table" = 1;
---
DELETE FROM "order" WHERE "table" = 2;
DELETE FROM "Other-Schema"."order" WHERE _id = '"quoted"';
