"""Older versions of the extension's objects: they still work, and an update makes them the newest.

Proves that ALTER EXTENSION UPDATE, step by step from 1.0 on, leaves what a new
CREATE EXTENSION makes, object by object; that a database which is left at 1.0
goes on working with the library of today; and that the target of such a
database does so after the update.
Guards sql/stedi--*.sql, and that C functions of old versions stay.
"""
import json
import unittest

import psycopg
from psycopg import sql

from stedi_client import Database, ServerTest, connect, file_url, make_folder

FIRST = "1.0"

# Every member of the extension: (object, aspect, value), in words, no OID.
# Members are compared by what the catalogs hold of them, and their columns,
# comments and privileges likewise.
OBJECTS = """
WITH member AS (
    SELECT d.classid, d.objid, i.type || ' ' || i.identity AS object
    FROM pg_extension e
        JOIN pg_depend d ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid AND d.deptype = 'e',
        pg_identify_object(d.classid, d.objid, 0) i
    WHERE e.extname = 'stedi'
), acl(classid, objid, column_name, items) AS (
    SELECT 'pg_proc'::regclass, oid, '', proacl FROM pg_proc
    UNION ALL SELECT 'pg_class'::regclass, oid, '', relacl FROM pg_class
    UNION ALL SELECT 'pg_class'::regclass, attrelid, attname, attacl FROM pg_attribute
    UNION ALL SELECT 'pg_type'::regclass, oid, '', typacl FROM pg_type
    UNION ALL SELECT 'pg_namespace'::regclass, oid, '', nspacl FROM pg_namespace
    UNION ALL SELECT 'pg_foreign_data_wrapper'::regclass, oid, '', fdwacl FROM pg_foreign_data_wrapper
    UNION ALL SELECT classoid, objoid, 'initial ' || objsubid, initprivs FROM pg_init_privs
), aspect(classid, objid, aspect, value) AS (
    SELECT 'pg_proc'::regclass, oid, 'definition', CASE WHEN prokind = 'a'
            THEN concat_ws(' ', pg_get_function_arguments(oid), provolatile, proparallel, proisstrict,
                (SELECT to_jsonb(a) - 'aggtranstype' FROM pg_aggregate a WHERE a.aggfnoid = p.oid))
            ELSE pg_get_functiondef(oid) END FROM pg_proc p
    UNION ALL SELECT 'pg_proc'::regclass, oid, 'support', prosupport::text FROM pg_proc
    UNION ALL SELECT 'pg_class'::regclass, oid, 'kind and options',
            concat_ws(' ', relkind, relpersistence, relrowsecurity, reloptions) FROM pg_class
    UNION ALL SELECT 'pg_class'::regclass, oid, 'view', pg_get_viewdef(oid) FROM pg_class WHERE relkind IN ('v', 'm')
    UNION ALL SELECT 'pg_class'::regclass, conrelid, 'constraint ' || conname, pg_get_constraintdef(oid) FROM pg_constraint
    UNION ALL SELECT 'pg_class'::regclass, indrelid, 'index', pg_get_indexdef(indexrelid) FROM pg_index
    UNION ALL SELECT 'pg_class'::regclass, tgrelid, 'trigger ' || tgname, pg_get_triggerdef(oid) FROM pg_trigger
    UNION ALL SELECT 'pg_class'::regclass, attrelid, 'column ' || attnum,
            concat_ws(' ', attname, format_type(atttypid, atttypmod), attnotnull, pg_get_expr(adbin, adrelid))
        FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum WHERE attnum > 0
    UNION ALL SELECT 'pg_type'::regclass, t.oid, 'kind', concat_ws(' ', typtype, typcategory, typlen, typnotnull,
            typinput, typoutput, typdefault, format_type(typbasetype, typtypmod)) FROM pg_type t
    UNION ALL SELECT 'pg_type'::regclass, t.oid, 'attribute ' || attnum,
            concat_ws(' ', attname, format_type(atttypid, atttypmod))
        FROM pg_type t JOIN pg_attribute ON attrelid = typrelid WHERE attnum > 0
    UNION ALL SELECT 'pg_type'::regclass, enumtypid, 'label ' || enumsortorder, enumlabel FROM pg_enum
    UNION ALL SELECT 'pg_foreign_data_wrapper'::regclass, oid, 'functions',
            concat_ws(' ', fdwhandler::regproc, fdwvalidator::regproc, fdwoptions) FROM pg_foreign_data_wrapper
    UNION ALL SELECT 'pg_event_trigger'::regclass, oid, 'function',
            concat_ws(' ', evtevent, evtfoid::regproc, evtenabled, evttags) FROM pg_event_trigger
    UNION ALL SELECT classoid, objoid, 'comment ' || objsubid, description FROM pg_description
    UNION ALL SELECT classid, objid, 'privileges ' || column_name, (SELECT string_agg(item::text, ' ' ORDER BY item::text)
        FROM unnest(items) item) FROM acl WHERE items IS NOT NULL
)
SELECT object, 'member', pg_identify_object(classid, objid, 0)::text FROM member
UNION ALL SELECT object, aspect, value FROM member JOIN aspect USING (classid, objid)
UNION ALL SELECT 'extension', 'itself', concat_ws(' ', extnamespace::regnamespace, extrelocatable, extversion,
    (SELECT string_agg(t::regclass::text, ' ') FROM unnest(extconfig) t), extcondition) FROM pg_extension WHERE extname = 'stedi'
ORDER BY 1, 2, 3
"""

# Kinds of objects that the query above tells the insides of; another one needs a line in it.
KINDS = {
    "pg_proc", "pg_class", "pg_type", "pg_namespace", "pg_foreign_data_wrapper", "pg_event_trigger",
}


def customer(number, consent=5):
    return {
        "customerName": f"Name {number}",
        "email": f"p{number}@example.com",
        "serialNumber": f"S-{number}",
        "registrationDate": 1,
        "lastUpdateDate": 10,
        "shareWithResearchAsOfDate": consent,
    }


class UpgradeTest(ServerTest):
    def old_database(self, name):
        """A database with the extension as it was first released."""
        name = f"{self.dbname}_{name}"
        with connect() as conn:
            conn.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0 ENCODING 'UTF8'").format(sql.Identifier(name)))
        self.addCleanup(self.drop_name, name)
        db = Database(connect(name))
        self.addCleanup(db.conn.close)
        db.run(f"CREATE EXTENSION stedi VERSION '{FIRST}'")
        return db

    def drop_name(self, name):
        with connect() as conn:
            conn.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))

    def steps(self):
        """The versions from the first to the newest, in the order of the update."""
        path = self.db.value(
            "SELECT path FROM pg_extension_update_paths('stedi') JOIN pg_available_extensions ON name = 'stedi'"
            f" WHERE source = '{FIRST}' AND target = default_version"
        )
        return path.split("--")

    def version(self, db):
        return db.value("SELECT extversion FROM pg_extension WHERE extname = 'stedi'")

    def test_objects(self):
        """Updated step by step, the extension is what a new one is, object by object."""
        fresh = self.db.rows(OBJECTS)
        self.assertGreater(len({row[0] for row in fresh}), 30)
        kinds = self.db.rows(
            "SELECT DISTINCT classid::regclass::text FROM pg_depend JOIN pg_extension e ON e.oid = refobjid"
            " WHERE refclassid = 'pg_extension'::regclass AND deptype = 'e' AND extname = 'stedi'"
        )
        self.assertLessEqual({kind for (kind,) in kinds}, KINDS)

        steps = self.steps()
        released = self.db.rows("SELECT version FROM pg_available_extension_versions WHERE name = 'stedi'")
        self.assertEqual(sorted(steps), sorted(version for (version,) in released))
        db = self.old_database("objects")
        self.assertEqual(self.version(db), steps[0])
        old = set(db.rows(OBJECTS))
        for step in steps[1:]:
            db.run(sql.SQL("ALTER EXTENSION stedi UPDATE TO {}").format(sql.Literal(step)))
            new = set(db.rows(OBJECTS))
            self.assertNotEqual(new, old)
            old = new
        self.maxDiff = None
        self.assertEqual(db.rows(OBJECTS), fresh)

        # all of it belongs to the extension, so that nothing outlives it
        db.run("DROP EXTENSION stedi")
        self.assertEqual(db.rows("SELECT nspname FROM pg_namespace WHERE nspname = 'stedi'"), [])

    def write(self, key, *records):
        (self.zone / key).parent.mkdir(exist_ok=True)
        (self.zone / key).write_text("".join(json.dumps(record) + "\n" for record in records))

    def check(self, db, counts, modes=frozenset({"incremental"})):
        """A run, and what may be asked of its target."""
        report = db.materialize("target", landing="lake")
        self.assertLessEqual({line["mode"] for line in report}, modes)
        self.assertEqual(db.counts("target"), counts)
        for query in ("audit('target', 'lake')", f"verify_history('target', '{report[0]['head']}')"):
            self.assertEqual(db.rows(f"SELECT * FROM stedi.{query}"), [], query)
        return report

    def test_left_at_first(self):
        """The library of today with the objects of 1.0; and the same target after the update."""
        self.zone = make_folder()
        self.write("customers/1.json", *map(customer, range(4)))
        self.write("accelerometer/1.json", *(
            {"user": f"p{n}@example.com", "timestamp": 100, "x": 1, "y": 2, "z": 3} for n in range(4)))
        self.write("step_trainer/1.json", *(
            {"sensorReadingTime": 100, "serialNumber": f"S-{n}", "distanceFromObject": 7} for n in range(4)))
        db = self.old_database("left")
        db.make_landing("lake", file_url(self.zone))
        db.run("CREATE SCHEMA target")
        self.assertEqual(db.value("SELECT count(*) FROM lake.customer_landing"), 4)
        self.check(db, [4] * 5, {"full"})
        db.rows("SELECT * FROM stedi.forget('target', 'p1@example.com', 'objection', 'lake')")
        self.check(db, [3] * 5)
        self.write("customers/2.json", {**customer(2, consent=0), "lastUpdateDate": 20})
        self.check(db, [2] * 5)
        old = db.tables("target")
        self.assertEqual(self.version(db), FIRST)

        db.run("ALTER EXTENSION stedi UPDATE")
        self.assertEqual(self.version(db), self.steps()[-1])
        self.assertEqual(self.check(db, [2] * 5)[1]["objects_read"], 0)
        self.assertEqual(db.tables("target"), old)
        self.write("customers/3.json", customer(4),
                   *({**customer(n), "lastUpdateDate": 30} for n in (1, 2)))
        report = self.check(db, [4, 3, 3, 3, 3])
        self.assertEqual(report[0]["forgotten"], 1)
        db.materialize("target", landing="lake", full_refresh=True)
        self.assertEqual(db.counts("target"), [4, 3, 3, 3, 3])

    def test_no_way_back(self):
        """There are no steps to older versions, which would drop what a user has."""
        with self.assertRaises(psycopg.errors.InvalidParameterValue):
            self.db.run(f"ALTER EXTENSION stedi UPDATE TO '{FIRST}'")


if __name__ == "__main__":
    unittest.main()
