"""Runs of materialize beside readers and beside each other.

Proves that a run by the difference waits for no reader and changes no
reader's snapshot; that full_refresh waits a bounded time, stands in nobody's
way meanwhile, and names who holds it up; that two runs on one target follow
each other.  Guards src/commands/materialize.c and src/storage/write.c.
"""
import threading
import time
import unittest

import psycopg

from stedi_client import ServerTest, file_url

CUSTOMER = (
    '{"customerName":"A","email":"a%d@example.com","serialNumber":"s%d","registrationDate":1,'
    '"lastUpdateDate":%d,"shareWithResearchAsOfDate":%d}\n'
)
READING = '{"user":"a%d@example.com","timestamp":%d,"x":1,"y":2,"z":3}\n'
STEP = '{"sensorReadingTime":%d,"serialNumber":"s%d","distanceFromObject":7}\n'

N_CUSTOMERS = 5


class ConcurrencyTest(ServerTest):
    def setUp(self):
        super().setUp()
        self.zone = self.folder / "zone"
        for name in ("customers", "accelerometer", "step_trainer"):
            (self.zone / name).mkdir(parents=True, exist_ok=True)
        self.write("customers/1.json", *(CUSTOMER % (n, n, 10, 5) for n in range(N_CUSTOMERS)))
        self.write("accelerometer/1.json", *(READING % (n, 100 + n) for n in range(N_CUSTOMERS)))
        self.write("step_trainer/1.json", *(STEP % (100 + n, n) for n in range(N_CUSTOMERS)))
        for late in ("customers/2.json",):
            (self.zone / late).unlink(missing_ok=True)
        self.db.drop("lake")
        self.db.make_landing("lake", file_url(self.zone))
        self.addCleanup(self.db.drop, "lake")
        self.db.materialize("lake")
        self.reader = self.connect()
        self.addCleanup(self.reader.close)

    def write(self, key, *records):
        (self.zone / key).write_text("".join(records))

    def withdraw(self, n):
        self.write("customers/2.json", CUSTOMER % (n, n, 20, 0))

    def read(self, conn, table="machine_learning_curated"):
        return conn.execute(f"SELECT count(*) FROM lake.{table}").fetchone()[0]

    def test_snapshot_holds_beside_a_difference(self):
        self.reader.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        self.assertEqual(self.read(self.reader), N_CUSTOMERS)
        self.withdraw(0)
        report = self.db.materialize("lake")
        self.assertEqual([row["rows_out"] for row in report], [1] * 5)
        for row in report:
            # the old snapshot is whole, the new one is, too
            self.assertEqual(self.read(self.reader, row["table_name"]), N_CUSTOMERS)
            self.assertEqual(self.read(self.db.conn, row["table_name"]), N_CUSTOMERS - 1)
        self.reader.execute("COMMIT")
        self.assertEqual(self.read(self.reader), N_CUSTOMERS - 1)

    def test_full_refresh_names_who_blocks(self):
        self.reader.execute("SET application_name = 'a slow reader'")
        self.reader.execute("BEGIN")
        self.read(self.reader)
        self.db.run("SET stedi.swap_timeout = '300ms'")
        self.addCleanup(self.db.run, "RESET stedi.swap_timeout")
        started = time.monotonic()
        with self.assertRaises(psycopg.errors.LockNotAvailable) as raised:
            self.db.materialize("lake", full_refresh=True)
        self.assertLess(time.monotonic() - started, 10)
        detail = raised.exception.diag.message_detail
        self.assertIn(f"process {self.reader.info.backend_pid}", detail)
        self.assertIn("a slow reader", detail)
        self.assertIn("machine_learning_curated", raised.exception.diag.message_primary)
        self.reader.execute("COMMIT")
        # nothing has changed, nothing is left behind, and now it works
        left = "SELECT count(*) FROM pg_class WHERE relnamespace = 'lake'::regnamespace AND relname LIKE 'pg_temp%'"
        self.assertEqual(self.db.value(left), 0)
        self.db.materialize("lake", full_refresh=True)
        self.assertEqual(self.db.value(left), 0)
        self.assertEqual(self.read(self.db.conn), N_CUSTOMERS)

    def test_full_refresh_blocks_no_reader_while_it_waits(self):
        self.reader.execute("BEGIN")
        self.read(self.reader)
        writer = self.connect()
        self.addCleanup(writer.close)
        writer.execute("SET stedi.swap_timeout = '30s'")
        outcome = []

        def refresh():
            try:
                outcome.append(
                    writer.execute("SELECT count(*) FROM stedi.materialize('lake', full_refresh => true)").fetchone()
                )
            except psycopg.Error as error:
                outcome.append(error)

        thread = threading.Thread(target=refresh, daemon=True)
        thread.start()
        self.wait_until_waiting(writer.info.backend_pid)
        self.db.run("SET statement_timeout = '5s'")
        self.addCleanup(self.db.run, "RESET statement_timeout")
        for table in ("machine_learning_curated", "customer_trusted", "accelerometer_trusted"):
            self.assertEqual(self.read(self.db.conn, table), N_CUSTOMERS)
        self.reader.execute("COMMIT")
        thread.join(30)
        self.assertEqual(outcome, [(5,)])
        self.assertEqual(self.read(self.db.conn), N_CUSTOMERS)

    def wait_until_waiting(self, pid):
        deadline = time.monotonic() + 20
        query = "SELECT wait_event_type FROM pg_stat_activity WHERE pid = %s"
        while time.monotonic() < deadline:
            if self.db.value(query, pid) in ("Extension", "Lock"):
                return
            time.sleep(0.01)
        self.fail("the run does not wait")

    def test_second_run_waits(self):
        first = self.connect()
        self.addCleanup(first.close)
        second = self.connect()
        self.addCleanup(second.close)
        notices = []
        second.add_notice_handler(lambda diag: notices.append(diag.message_primary))
        self.withdraw(1)
        first.execute("BEGIN")
        first.execute("SELECT * FROM stedi.materialize('lake')")
        outcome = []
        thread = threading.Thread(
            target=lambda: outcome.append(
                second.execute("SELECT sum(rows_in), sum(rows_out) FROM stedi.materialize('lake')").fetchone()
            ),
            daemon=True,
        )
        thread.start()
        deadline = time.monotonic() + 20
        while not any("waiting for another run" in notice for notice in notices):
            self.assertLess(time.monotonic(), deadline, notices)
            time.sleep(0.01)
        self.assertTrue(thread.is_alive())
        first.execute("COMMIT")
        thread.join(30)
        # it sees what the first has done, and has nothing left to do
        self.assertEqual(outcome, [(0, 0)])
        self.assertEqual(self.read(self.db.conn), N_CUSTOMERS - 1)

    def test_a_failed_run_changes_nothing(self):
        before = self.db.tables("lake")
        self.db.run("ALTER FOREIGN TABLE lake.step_trainer_landing OPTIONS (ADD on_error 'stop')")
        good = '{"sensorReadingTime":1655564376361,"serialNumber":"s1","distanceFromObject":1}\n'
        self.write("step_trainer/2.json", good + '{"sensorReadingTime":"soon","serialNumber":"s1"}\n')
        self.addCleanup((self.zone / "step_trainer/2.json").unlink)
        with self.assertRaises(psycopg.Error):
            self.db.materialize("lake")
        self.assertEqual(self.db.tables("lake"), before)

    def test_caught_error_leaves_the_session_as_it_was(self):
        self.db.run("ALTER FOREIGN TABLE lake.step_trainer_landing OPTIONS (ADD on_error 'stop')")
        self.write("step_trainer/2.json", "{cut")
        self.addCleanup((self.zone / "step_trainer/2.json").unlink)
        before = self.db.rows("SELECT current_user, current_setting('search_path'), current_setting('datestyle')")
        self.db.run(
            "DO $$ BEGIN PERFORM * FROM stedi.materialize('lake');"
            " EXCEPTION WHEN invalid_json_text THEN NULL; END $$"
        )
        after = self.db.rows("SELECT current_user, current_setting('search_path'), current_setting('datestyle')")
        self.assertEqual(after, before)
        # the tally of the run that failed is gone: a scan counts for itself again
        self.db.run("ALTER FOREIGN TABLE lake.step_trainer_landing OPTIONS (DROP on_error)")
        self.assertEqual(self.db.value("SELECT count(*) FROM lake.step_trainer_landing"), N_CUSTOMERS)


if __name__ == "__main__":
    unittest.main()
