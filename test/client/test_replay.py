"""A standby that follows the server, and what a run of materialize leaves on it.

Proves that the log alone rebuilds the pages that storage/heap.c writes around
the buffers: the standby has them from nowhere else.  So a server that crashed
and lost its files' last changes would have them, too.  Guards src/storage/heap.c
and the replacing of storage in src/storage/write.c.
"""
import unittest

from stedi_client import TABLES, ServerTest
from stedi_cluster import Cluster, wait_until

import landing


class ReplayTest(ServerTest):
    def standby(self):
        """A connection to a new standby of the server."""
        return Cluster(self, hot_standby="on").copy(self.db.conn).connect(self.dbname)

    def wait_for_replay(self, standby):
        target = self.db.value("SELECT pg_current_wal_flush_lsn()")
        replayed = "SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn"
        wait_until(
            lambda: standby.execute(replayed, (target,)).fetchone()[0],
            "the standby does not follow",
        )

    def assert_same(self, standby):
        """The standby's tables are the server's, row for row at the same place, and whole."""
        self.wait_for_replay(standby)
        for table in TABLES:
            rows = f"SELECT ctid::text, t::text FROM target.{table} t ORDER BY ctid"
            here = self.db.rows(rows)
            self.assertEqual(standby.execute(rows).fetchall(), here, table)
            self.assertTrue(here, table)
            wrong = standby.execute(
                "SELECT * FROM verify_heapam(%s, check_toast => true)", (f"target.{table}",)
            ).fetchall()
            self.assertEqual(wrong, [], table)

    def assert_found_by_index(self, standby):
        email, n = self.db.rows(
            "SELECT email, count(*) FROM target.accelerometer_trusted GROUP BY 1 ORDER BY 2 DESC"
        )[0]
        standby.execute("SET enable_seqscan = off")
        found = standby.execute(
            "SELECT count(*) FROM target.accelerometer_trusted WHERE email = %s", (email,)
        ).fetchone()[0]
        self.assertEqual(found, n)

    def test_standby(self):
        folder = self.folder / "zone"
        landing.main([str(folder), "--seed", "5", "--readings", "60"])
        self.db.run("CREATE EXTENSION amcheck")
        self.db.run(
            "SET max_parallel_maintenance_workers = 3; SET min_parallel_table_scan_size = 0"
        )
        with self.landing("lake", folder), self.schema("target"), self.standby() as standby:
            self.db.materialize("target", landing="lake")
            self.assert_same(standby)
            self.assert_found_by_index(standby)
            self.db.run("DELETE FROM target.machine_learning_curated WHERE x > 0")
            self.db.materialize("target", landing="lake")
            self.assert_same(standby)
            self.db.materialize("target", landing="lake", full_refresh=True)
            self.assert_same(standby)
            self.assert_found_by_index(standby)
            quality = "SELECT * FROM stedi.quality('target', 'lake')"
            self.assertEqual(standby.execute(quality).fetchall(), self.db.rows(quality))


if __name__ == "__main__":
    unittest.main()
