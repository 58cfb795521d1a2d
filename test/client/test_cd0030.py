"""Proves the row counts on the original project's landing data, from a folder and from S3.

Guards the whole pipeline. STEDI_CD0030 says where that data is (default:
../shared/cd0030bucket beside the project); STEDI_S3_ENDPOINT,
STEDI_S3_ACCESS_KEY and STEDI_S3_SECRET_KEY where there is an S3 server.
"""
import os
import pathlib
import random
import shutil
import subprocess
import sys
import unittest

from stedi_client import PROJECT, ServerTest

import oracle

DATA = pathlib.Path(
    os.environ.get("STEDI_CD0030", PROJECT.parent / "shared" / "cd0030bucket")
).resolve()
ENDPOINT = os.environ.get("STEDI_S3_ENDPOINT")
BUCKET = "cd0030bucket"

# rule, match -> rows of the five tables
FIGURES = {
    ("granted", "customer"): [482, 40981, 482, 14460, 40981],
    ("granted", "time"): [482, 40981, 482, 14460, 43681],
    ("since_consent", "customer"): [482, 32025, 464, 11297, 32025],
    ("since_consent", "time"): [482, 32025, 464, 11297, 34253],
}
FOLDERS = ("customers", "accelerometer", "step_trainer")
RECORDS = {
    "customer_trusted": 956,
    "accelerometer_trusted": 81273,
    "step_trainer_curated": 28680,
}


@unittest.skipUnless(DATA.is_dir(), f"{DATA} is not there: set STEDI_CD0030")
class Cd0030Test(ServerTest):
    def check_figures(self, schema):
        """Every rule on one target, which is changed from one to the next."""
        for (consent, match), counts in FIGURES.items():
            with self.subTest(consent=consent, match=match):
                report = self.db.materialize(schema, consent=consent, match=match)
                self.assertEqual([row["rows"] for row in report], counts)
                self.assertEqual(self.db.counts(schema), counts)
                for row in report:
                    if row["table_name"] in RECORDS:
                        # to pair by the time alone, nothing has to be read again
                        again = 0 if match == "time" else RECORDS[row["table_name"]]
                        self.assertEqual(row["records_read"], again)
                        self.assertEqual(row["rejected"], 0)

    def s3_landing(self, schema):
        """The same data in a bucket, and landing tables over it."""
        for words in (("make-bucket", BUCKET), ("sync", DATA, BUCKET)):
            subprocess.run([sys.executable, PROJECT / "test/s3/s3put.py", *words], check=True)
        self.db.make_landing(
            schema,
            f"s3://{BUCKET}",
            secrets={
                "access_key_id": os.environ["STEDI_S3_ACCESS_KEY"],
                "secret_access_key": os.environ["STEDI_S3_SECRET_KEY"],
            },
            region="us-east-1",
            endpoint=ENDPOINT,
            url_style="path",
            allow_http="true",
        )

    def test_folder(self):
        with self.landing("lake", DATA):
            self.check_figures("lake")

    def test_one_object_after_another(self):
        """The zone as it fills: each object is read when it comes, and what results is the same."""
        objects = sorted(file.relative_to(DATA) for file in DATA.glob("*/**/*.json"))
        random.Random(30).shuffle(objects)
        first = [next(name for name in objects if name.parts[0] == folder) for folder in FOLDERS]
        later = [name for name in objects if name not in first]
        for consent in ("granted", "since_consent"):
            with self.subTest(consent=consent):
                zone = self.folder / consent
                self.bring(zone, *first)
                with self.landing("lake", zone):
                    self.db.materialize("lake", consent=consent)
                    for name in later:
                        self.bring(zone, name)
                        report = self.db.materialize("lake")
                        self.assertEqual({row["mode"] for row in report}, {"incremental"})
                    self.assertEqual(self.db.counts("lake"), FIGURES[consent, "customer"])
                    self.assertEqual(self.db.rows("SELECT * FROM stedi.audit('lake')"), [])
                    report = self.db.materialize("lake")
                    self.assertEqual(sum(row["objects_read"] or 0 for row in report), 0)

    @staticmethod
    def bring(zone, *names):
        for name in names:
            (zone / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(DATA / name, zone / name)

    def test_rows(self):
        with self.landing("lake", DATA):
            report, now = self.db.materialize_at("lake", consent="since_consent")
            result = oracle.compute(DATA, "since_consent", now)
            for row in report:
                table = row["table_name"]
                self.assertCountEqual(self.db.table("lake", table), result.tables[table])

    def test_quality(self):
        """What is in it, as PostgreSQL counts it; nothing is wrong."""
        with self.landing("lake", DATA):
            columns = self.db.rows(
                "SELECT relname, attname, attnum FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND attnum > 0"
                " WHERE relnamespace = 'lake'::regnamespace"
            )
            tables = sorted({table for table, _, _ in columns})
            due = [(table, None, self.db.value(f"SELECT count(*) FROM lake.{table}"), None, None) for table in tables]
            for table, column, _ in columns:
                counts = f'count(*), count(*) - count("{column}"), count(DISTINCT "{column}")'
                due.append((table, column, *self.db.rows(f"SELECT {counts} FROM lake.{table}")[0]))
            before = self.db.rows("SELECT * FROM stedi.quality('lake')")
            self.assertCountEqual([row[:5] for row in before], due)
            self.assertEqual({row[7] for row in before}, {None})
            self.db.materialize("lake", consent="granted")
            shown = {(row[0], row[1]): row[5:7] for row in self.db.rows("SELECT * FROM stedi.quality('lake')") if row[5]}
            ends = "SELECT min({0})::text, max({0})::text FROM {1}"
            for (table, column), values in shown.items():
                zone = {"customer_landing": "customer_trusted", "accelerometer_landing": "accelerometer_trusted", "step_trainer_landing": "step_trainer_curated"}[table]
                day = "" if column in ("x", "y", "z", "distancefromobject") else "::date"
                self.assertEqual(values, self.db.rows(ends.format(f'"{column}"{day}', f"lake.{zone}"))[0], column)
            self.assertEqual(len(shown), 5 + 4 + 2)

    @unittest.skipUnless(ENDPOINT, "STEDI_S3_ENDPOINT names no S3 server")
    def test_s3(self):
        self.addCleanup(self.db.drop, "bucket")
        self.s3_landing("bucket")
        self.check_figures("bucket")
        self.db.materialize("bucket", match="customer")
        with self.landing("lake", DATA):
            self.db.materialize("lake", consent="since_consent")
            self.assertEqual(self.db.tables("bucket"), self.db.tables("lake"))


if __name__ == "__main__":
    unittest.main()
