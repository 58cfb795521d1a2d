"""Proves that the five tables do not depend on how a target came to them.

After any sequence of changes to a small landing zone, of people forgotten and
taken back, of changed rules and expectations and of runs that failed, a run leaves what a full
rebuild makes and what test/oracle.sql computes, row for row; its counts add
up, and stedi.audit finds nothing.  Guards src/zone*.c.

    STEDI_TEST_SEQUENCES, STEDI_TEST_STEPS    how many sequences, of how many steps
    STEDI_TEST_SEED                           one sequence alone, of that seed
"""
import collections
import contextlib
import os
import pathlib
import random
import shutil
import threading
import time
import traceback
import unittest

import psycopg

from stedi_client import LANDING_TABLES, TABLES, Database, ServerTest, sort_key
from stedi_steps import CHANGES, FOLDERS, SUBFOLDER, NotNow, Object, Steps
from stedi_steps import change, folder_of, now_ms, without

SEQUENCES = int(os.environ.get("STEDI_TEST_SEQUENCES", "12"))
STEPS = int(os.environ.get("STEDI_TEST_STEPS", "15"))
SEED = os.environ.get("STEDI_TEST_SEED")

# Each kind of step comes at least once in so many steps, and where there are
# enough steps, at least so many times.
STEPS_FOR_ALL_KINDS = 180
OFTEN = 20

# So many kinds come before the others, each seed beginning with others.
KINDS_FIRST = 12

ORACLE = pathlib.Path(__file__).resolve().parents[1] / "oracle.sql"
RULES = ("granted", "since_consent")
REASONS = (
    "not_needed",
    "consent_withdrawn",
    "objection",
    "unlawful",
    "legal_obligation",
    "child",
)

# Runs in one process; in as many as there are workers for.
PROCESSES = (
    *["SET max_parallel_maintenance_workers = 0"] * 3,
    "SET max_parallel_maintenance_workers = 2; SET min_parallel_table_scan_size = 0",
)

# What a record is counted as when it is in no table, whatever the mode and rule.
LEFT_OUT = {
    "customer_trusted": ("rejected", "superseded", "no_consent", "forgotten"),
    "accelerometer_trusted": (
        "rejected",
        "unknown_owner",
        "without_readings",
        "no_consent",
        "ambiguous",
        "forgotten",
        "unexpected",
        "duplicates",
    ),
}
LEFT_OUT["step_trainer_curated"] = LEFT_OUT["accelerometer_trusted"]

# The folder that a table is made from, besides that of the customers.
READ_BY = {
    "accelerometer_trusted": ("accelerometer",),
    "step_trainer_curated": ("step_trainer",),
}

# What rows are expected to be like where a table drops others, as test/oracle.sql has it.
EXPECTED = {
    "accelerometer_trusted": "y = 0.25",
    "step_trainer_curated": "distancefromobject > 1",
    "machine_learning_curated": "x <= 0 AND z = 1",
}

# The names of the steps that are more or less than one change, and of those of
# either sort that come twice as often, as they wait for one another.
OTHERS = []
AGAIN = ["forget", "unforget"]


def other(method):
    OTHERS.append(method.__name__)
    return method


class Sequence(Steps):
    """A landing zone, a target that follows its changes, and one that is rebuilt."""

    def __init__(self, test, seed, folder):
        super().__init__(folder, random.Random(seed), crowd=seed % 6 == 0)
        self.test = test
        self.db = test.db
        self.forgotten = set()
        self.dropping = set()  # tables
        self.consent = RULES[0]
        self.kinds = CHANGES + OTHERS + AGAIN
        self.deck = self.first_deck(seed)
        self.story = []
        self.taken = collections.Counter()
        self.modes = collections.Counter()
        # of the last run into the target:
        self.ran_with = None  # its rule
        self.read = None  # the keys that it knew, None if they are not what the next one goes by
        self.elapsed = 0

    # Steps.

    def first_deck(self, seed):
        """All kinds; of the seeds in turn each begins with others."""
        kinds = random.Random("kinds").sample(self.kinds, len(self.kinds))
        start = seed * KINDS_FIRST % len(kinds)
        kinds = kinds[start:] + kinds[:start]
        first, later = kinds[:KINDS_FIRST], kinds[KINDS_FIRST:]
        self.rng.shuffle(first)
        self.rng.shuffle(later)
        return later + first

    def take_any(self):
        """Take a step: each kind, in any order, before one comes again.

        What cannot be taken now is put off for a while.
        """
        put_off = []
        while True:
            if not self.deck:
                self.deck = self.rng.sample(self.kinds, len(self.kinds))
            name = self.deck.pop()
            try:
                self.take(name)
                break
            except NotNow:
                put_off.append(name)
        for name in put_off:
            self.deck.insert(max(0, len(self.deck) - self.rng.randrange(1, 9)), name)

    def take(self, name):
        self.story.append(name)
        number = len(self.story) - 1
        try:
            self.story[number] = f"{name}: {getattr(self, name)()}"
        except NotNow:
            del self.story[number:]
            raise
        self.taken[name] += 1

    def any_change(self, but=None):
        """Make one change as part of a step; gives its line."""
        names = [name for name in self.kinds if name in CHANGES and name != but]
        while True:
            try:
                self.take(self.rng.choice(names))
                return self.story.pop()
            except NotNow:
                pass

    @change
    def rule_changed(self):
        self.consent = RULES[1 - RULES.index(self.consent)]
        return self.consent

    @change
    def forget(self):
        person = self.pick(person for person in self.people if person.email not in self.forgotten)
        self.forgotten.add(person.email)
        email = self.spell(person.email)
        reason = self.rng.choice(REASONS)
        for target in self.test.targets:
            forget = "SELECT * FROM stedi.forget(%s::regnamespace, %s, %s, 'lake')"
            self.db.rows(forget, target, email, reason)
            for table in ("customer_trusted", "accelerometer_trusted", "customer_curated"):
                left = self.db.rows(f"SELECT FROM {target}.{table} WHERE email = %s", person.email)
                self.test.assertEqual(left, [], table)
        return f"{email!r} {reason}"

    @change
    def unforget(self):
        who = self.pick(sorted(self.forgotten))
        self.forgotten.remove(who)
        email = self.spell(who)
        for target in self.test.targets:
            lifted = self.db.value("SELECT stedi.unforget(%s::regnamespace, %s)", target, email)
            self.test.assertTrue(lifted)
        return f"{email!r}"

    @change
    def expectation(self, table=None):
        table = table or self.rng.choice(list(EXPECTED))
        self.dropping ^= {table}
        for target in self.test.targets:
            if table in self.dropping:
                expect = "SELECT stedi.expect(%s::regnamespace, %s, 'kept', %s, 'drop')"
                self.db.run(expect, target, table, EXPECTED[table])
            else:
                unexpect = "SELECT stedi.unexpect(%s::regnamespace, %s, 'kept')"
                self.test.assertTrue(self.db.value(unexpect, target, table))
        return f"{table} {'drops' if table in self.dropping else 'takes all'}"

    @other
    def nothing(self):
        return ""

    @other
    def several(self):
        return "; ".join(self.any_change() for _ in range(self.rng.randrange(2, 5)))

    @other
    def wait(self):
        """Until all dates have come that were in the near future."""
        if self.due is None:
            raise NotNow
        time.sleep(max(0, self.due + 5 - now_ms()) / 1000)
        self.due = None
        return ""

    @other
    def one_table(self):
        if self.consent != self.ran_with:
            raise NotNow  # it may not change the rule
        done = self.any_change(but="rule_changed")
        table = self.rng.choice(TABLES)
        function = f"materialize_{table}"
        if self.read is not None and self.most_vanished(["customers", *READ_BY.get(table, ())]):
            with self.test.assertRaises(psycopg.errors.ObjectNotInPrerequisiteState):
                self.db.materialize("target", function, landing="lake")
            return f"{table}, refused, after {done}"
        self.db.materialize("target", function, landing="lake")
        self.read = None
        return f"{table} after {done}"

    def run_before(self, **arguments):
        """A run into the target before the one that is compared."""
        self.db.materialize("target", **self.arguments(), **arguments)
        self.ran_with = self.consent
        self.read = self.zone.landed()

    @other
    def full_refresh(self):
        done = self.any_change()
        self.run_before(full_refresh=True)
        return done

    @other
    def kept_for_a_while(self):
        """What has vanished leaves its readings behind, as far as the next run."""
        if self.read is None:
            raise NotNow
        done = self.any_change()
        refused = contextlib.suppress(psycopg.errors.ObjectNotInPrerequisiteState)
        with refused, self.db.conn.transaction():
            self.db.materialize("target", **self.arguments() | {"vanished": "keep"})
            self.check_found("target")
            self.ran_with = self.consent
            self.read = self.zone.landed()
        return done

    @other
    def twice_in_a_transaction(self):
        with self.db.conn.transaction():
            first = self.any_change()
            self.run_before()
            second = self.any_change()
            self.run_before()
        return f"{first}, then {second}"

    @other
    def definition_changed(self):
        """A landing table has another part of the bucket."""
        done = self.any_change()
        folder, table = self.rng.choice(list(zip(FOLDERS, LANDING_TABLES, strict=True)))
        narrow = f"{folder}/{SUBFOLDER}"
        self.zone.prefixes[folder] = folder if self.zone.prefixes[folder] == narrow else narrow
        self.read = None
        self.db.run(
            f"ALTER FOREIGN TABLE lake.{table} OPTIONS (SET prefix '{self.zone.prefixes[folder]}')"
        )
        return f"{self.zone.prefixes[folder]} after {done}"

    @other
    def bookkeeping_lost(self):
        done = self.any_change()
        self.read = None
        self.db.run("DROP TABLE stedi_books_target.stedi_object")
        return done

    @other
    def names_lost(self):
        """Some objects of readings may be of anybody, as if they named very many people."""
        done = self.any_change()
        keys = [key for key in self.zone.keys() if self.rng.random() < 0.5]
        self.db.run(
            "UPDATE stedi_books_target.stedi_object SET people = NULL, devices = NULL"
            " WHERE table_name <> 'customer_landing' AND key = ANY (%s)",
            keys,
        )
        return done

    @other
    def dry_run(self):
        done = self.any_change()
        with self.unchanged():
            self.db.materialize("target", dry_run=True, **self.arguments())
        return done

    @other
    def rolled_back(self):
        done = self.any_change()
        with self.unchanged(), self.db.conn.transaction() as transaction:
            self.db.materialize("target", **self.arguments())
            raise psycopg.Rollback(transaction)
        return done

    @other
    def stopped(self):
        """A late phase ends in an error, a reject among the step readings: withdrawals go through."""
        done = self.any_change()
        reject = self.zone.text(without(self.step(), "sensorReadingTime"))
        self.zone.write(f"step_trainer/{SUBFOLDER}/reject-{len(self.story)}", Object([reject]))
        stop = "ALTER FOREIGN TABLE lake.step_trainer_landing OPTIONS (ADD on_error 'stop')"
        before = self.state()
        try:
            with self.db.conn.transaction():
                self.db.run(stop)
                report, now = self.db.materialize_at("target", **self.arguments())
                self.db.run(stop.replace("ADD on_error 'stop'", "DROP on_error"))
        except psycopg.Error:
            self.test.assertEqual(self.state(), before)
            return done
        self.check_withdrawals(report, now, before[1])
        return done

    def check_withdrawals(self, report, now, before):
        """Rows have gone, none has come, and nobody is in who is out by the rules."""
        after = self.db.tables("target")
        self.test.assertEqual({line["mode"] for line in report}, {"withdrawals"})
        for line in report:
            table = line["table_name"]
            self.test.assertEqual(line["rows"], len(after[table]), table)
            self.test.assertEqual(
                line["rows"] - line["rows_in"] + line["rows_out"], len(before[table]), table
            )
            if not table.startswith("customer"):
                came = collections.Counter(after[table]) - collections.Counter(before[table])
                self.test.assertEqual(came, collections.Counter(), table)
        rows, _ = self.expected(now)
        insiders = {row[1] for row in rows["customer_trusted"]}
        for table, column in (("customer_trusted", 1), ("accelerometer_trusted", 0), ("customer_curated", 1)):
            self.test.assertLessEqual({row[column] for row in after[table]}, insiders, table)

    @other
    def terminated(self):
        """The session ends at any moment of the run, perhaps just after it."""
        done = self.any_change()
        before = self.state()
        arguments = self.arguments()
        delay = self.elapsed * self.rng.random()
        with contextlib.closing(self.test.connect()) as conn:
            thread = threading.Thread(target=self.run_doomed, args=(conn, arguments))
            thread.start()
            time.sleep(delay)
            self.db.run("SELECT pg_terminate_backend(%s)", conn.info.backend_pid)
            thread.join()
        after = self.state()
        if after[0] == before[0]:
            self.test.assertEqual(after, before)
        else:  # the run was the faster one
            self.taken["terminated"] -= 1
            self.read = None
        return f"at {delay:.3f} s of a run, {done}"

    def run_doomed(self, conn, arguments):
        with contextlib.suppress(psycopg.Error):
            Database(conn).materialize("target", **arguments)

    def state(self):
        """How many runs there were, and what they made."""
        return self.db.rows("SELECT count(*) FROM stedi_books_target.stedi_run"), self.db.tables("target")

    @contextlib.contextmanager
    def unchanged(self):
        """A run that must leave everything as it was."""
        before = self.state()
        yield
        self.test.assertEqual(self.state(), before)

    # Runs.

    def arguments(self):
        """Of a run into the target: no more than needed, sometimes more."""
        say_consent, say_vanished = self.rng.random() < 0.5, self.rng.random() < 0.5
        arguments = {"landing": "lake"}
        if say_consent or self.consent != self.ran_with:
            arguments["consent"] = self.consent
        if say_vanished or self.read is None or self.most_vanished():
            arguments["vanished"] = "remove"
        return arguments

    def most_vanished(self, folders=FOLDERS):
        """Are more than half of a table's objects gone since the last run?"""
        for folder in folders:
            known = {key for key in self.read if folder_of(key) == folder}
            if 2 * len(known - self.zone.landed()) > len(known):
                return True
        return False

    def run(self):
        """Bring the target up to date, rebuild the other one, and compare all."""
        arguments = self.arguments()
        together = self.rng.random() < 0.5
        rebuilt = {
            "landing": "lake",
            "consent": self.consent,
            "full_refresh": True,
            "vanished": "remove",
        }
        if self.read is not None and self.consent == self.ran_with and self.most_vanished():
            with self.test.assertRaises(psycopg.errors.ObjectNotInPrerequisiteState):
                self.db.materialize("target", **arguments | {"vanished": None})
        before = self.db.counts("target") if self.ran_with else [0] * len(TABLES)
        with self.db.conn.transaction():
            started = time.monotonic()
            report, now = self.db.materialize_at("target", **arguments)
            self.elapsed = time.monotonic() - started
            expected = self.expected(now)
            self.check("target", report, expected)
            self.check_changes(report, before)
            if together:
                report = self.db.materialize("rebuilt", **rebuilt)
                self.check("rebuilt", report, expected)
        if not together:
            with self.db.conn.transaction():
                report, now = self.db.materialize_at("rebuilt", **rebuilt)
                self.check("rebuilt", report, self.expected(now))
        self.ran_with = self.consent
        self.read = self.zone.landed()

    def check(self, target, report, expected):
        """A target's tables and report against the oracle's, in the transaction of the run."""
        rows, counts = expected
        for table in TABLES:
            found = self.db.table(target, table)
            self.test.assert_same_rows(rows[table], found, f"{target}.{table}")
        for line in report:
            table = line["table_name"]
            self.test.assertEqual(line["rows"], len(rows[table]), table)
            self.test.assertEqual(line["consent"], self.consent)
            if table in LEFT_OUT:
                self.check_sum(line)
        if target == "rebuilt":
            for line in report:
                self.test.assertEqual(line["mode"], "full")
                told = counts.get(line["table_name"], {})
                self.test.assertEqual({name: line[name] for name in told}, told)
        self.check_expectations(target, report)
        self.check_found(target)

    def check_expectations(self, target, report):
        """Rows that met what was expected, and records that did not and were left out."""
        counted = {line["table_name"]: (line["rows"], line["unexpected"]) for line in report}
        found = self.db.rows(
            "SELECT table_name, met, violated FROM stedi.expectations(%s::regnamespace)", target
        )
        expected = [(table, *counted[table]) for table in self.dropping]
        self.test.assertEqual(sorted(found), sorted(expected), target)

    def check_found(self, target):
        """There is nothing that is not covered, missing, or otherwise than written down."""
        for query in ("audit(%s::regnamespace, 'lake')", "verify_history(%s::regnamespace)"):
            found = self.db.rows(f"SELECT * FROM stedi.{query}", target)
            self.test.assertEqual(found, [], f"{target}: {query}")

    def check_sum(self, line):
        """Each record read is counted once."""
        names = LEFT_OUT[line["table_name"]]
        if self.consent == "since_consent" and line["table_name"] != "customer_trusted":
            names += ("before_consent",)
        names += ("unchanged", "kept") if "kept" in line else ("rows",)
        parts = {name: line[name] for name in names}
        self.test.assertEqual(sum(parts.values()), line["records_read"], (line, parts))

    def check_changes(self, report, before):
        """What a run says it took out and put in is the difference."""
        for line, rows in zip(report, before, strict=True):
            self.test.assertEqual(rows - line["rows_out"] + line["rows_in"], line["rows"], line)
            self.modes[line["mode"]] += 1
            if self.idle():
                self.test.assertEqual((line["objects_read"] or 0, line["rows_in"]), (0, 0), line)

    def idle(self):
        """Is there nothing that a run could have found to do?"""
        return (
            self.story[-1:] == ["nothing: "]
            and not self.story[-2:][0].startswith("from the start, forget")
            and self.read is not None
            and self.due is None
            and self.consent == self.ran_with
        )

    def expected(self, now):
        """The five tables as the oracle has them, and its counts of a full run."""
        self.db.run("TRUNCATE oracle.landing")
        self.db.run(
            """INSERT INTO oracle.landing
            SELECT object, place, kind, CASE WHEN whole THEN text::jsonb END, text
            FROM unnest(%s::text[], %s::bigint[], %s::text[], %s::text[], %s::boolean[])
                AS landed (object, place, kind, text, whole)""",
            *map(list, zip(*self.zone.records())),
        )
        rows, counts = {table: [] for table in TABLES}, {}
        for table, what, contents in self.db.rows(
            "SELECT * FROM oracle.zone(%s, %s, %s, %s)",
            sorted(self.forgotten),
            self.consent,
            now,
            sorted(self.dropping),
        ):
            if what == "row":
                rows[table].append(tuple(contents))
            else:
                counts[table] = contents
        return rows, counts


class IncrementalTest(ServerTest):
    """Sequences of steps, each with a zone and targets of its own."""

    targets = ("target", "rebuilt")

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.db.run(ORACLE.read_text())

    def assert_same_rows(self, expected, actual, table):
        """Two multisets of rows; says what is missing and what is too much."""
        expected, actual = collections.Counter(expected), collections.Counter(actual)
        lost, more = expected - actual, actual - expected
        if lost or more:
            self.fail(
                f"{table}: {lost.total()} rows missing, {more.total()} too many\n"
                f"missing: {sorted(lost.elements(), key=sort_key)[:5]}\n"
                f"too many: {sorted(more.elements(), key=sort_key)[:5]}"
            )

    def run_sequence(self, seed):
        """Take the steps of a seed, and run after each; gives the sequence."""
        folder = self.folder / f"lake{seed}"
        with (
            self.landing("lake", folder),
            self.schema(self.targets[0]),
            self.schema(self.targets[1]),
        ):
            for table in LANDING_TABLES:
                self.db.run(f"ALTER FOREIGN TABLE lake.{table} OPTIONS (ADD allow_empty 'true')")
            sequence = Sequence(self, seed, folder)
            self.db.run(sequence.rng.choice(PROCESSES))
            try:
                sequence.run()
                if seed % 2 == 0:
                    for table in sequence.rng.sample(list(EXPECTED), 2):
                        sequence.story.append(f"from the start, {sequence.expectation(table)}")
                    sequence.run()
                if seed % 2 == 1:
                    sequence.story.append(f"from the start, forget: {sequence.forget()}")
                for _ in range(STEPS):
                    sequence.take_any()
                    sequence.run()
            except Exception as error:
                raise AssertionError(self.tell(seed, sequence, error)) from error
        shutil.rmtree(folder)
        return sequence

    def tell(self, seed, sequence, error):
        """All that it takes to see the same again."""
        steps = "".join(f"{n:4} {line}\n" for n, line in enumerate(sequence.story, start=1))
        trouble = "".join(traceback.format_exception_only(error))
        return (
            f"STEDI_TEST_SEED={seed} STEDI_TEST_STEPS={STEPS} goes wrong after\n"
            f"{steps}{trouble}(forgotten: {sorted(sequence.forgotten)},"
            f" dropping: {sorted(sequence.dropping)})"
        )

    def test_sequences(self):
        seeds = [int(SEED)] if SEED else range(1, SEQUENCES + 1)
        taken, modes = collections.Counter(), collections.Counter()
        for seed in seeds:
            with self.subTest(seed=seed):
                sequence = self.run_sequence(seed)
                taken.update(sequence.taken)
                modes.update(sequence.modes)
        if not SEED:
            least = min(OFTEN, SEQUENCES * STEPS // STEPS_FOR_ALL_KINDS)
            rare = {name: taken[name] for name in CHANGES + OTHERS if taken[name] < least}
            self.assertEqual(rare, {}, taken)
        print(f"{len(seeds)} sequences, {taken.total()} steps and changes, tables by {dict(modes)}")


if __name__ == "__main__":
    unittest.main()
