"""Servers of a test's own: to be killed, configured, or to follow the other one.

They are made with the programs of the server that STEDI_DSN names, in a folder
that make_folder gives, and run as the user of the tests.
"""
import os
import pathlib
import shutil
import signal
import subprocess
import time

import psycopg

from stedi_client import Database, connect, make_folder

PATIENCE = 60  # seconds


def server_programs(conn):
    """The folder of the server's programs, or None when that is not ours to look into."""
    if os.environ.get("STEDI_VALGRIND"):  # whose program it is that runs
        return None
    data = pathlib.Path(conn.execute("SHOW data_directory").fetchone()[0])
    try:
        pid = (data / "postmaster.pid").read_text().split()[0]
        return pathlib.Path(os.readlink(f"/proc/{pid}/exe")).parent
    except OSError:
        return None


def run_program(*command):
    """Run a program of the server; its output is told when it fails."""
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, check=False,
    )
    if done.returncode != 0:
        raise AssertionError(f"{command[0]}: {done.stdout}")


def becomes_true(condition, patience=PATIENCE):
    """Does the condition hold within that many seconds?"""
    until = time.monotonic() + patience
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(0.02)
    return True


def wait_until(condition, what):
    if not becomes_true(condition):
        raise AssertionError(what)


def kill(pid):
    """End a process at once, as the kernel does when memory runs out.  Was it still there?"""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


class Cluster:
    """A server; it ends, and its folder goes, with test."""

    def __init__(self, test, **settings):
        with connect() as conn:
            self.programs = server_programs(conn)
            self.user = conn.info.user
        if self.programs is None:
            test.skipTest("the server belongs to somebody else")
        if os.geteuid() == 0:
            test.skipTest("root cannot run a server")
        self.folder = make_folder()
        test.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        test.addCleanup(self.stop)
        self.data = self.folder / "data"
        self.settings = {
            "listen_addresses": "",
            "unix_socket_directories": self.folder,
            "fsync": "off",
            "shared_buffers": "32MB",
            "timezone": "UTC",
            **settings,
        }
        # what AWS's tools go by is for the tests to set
        self.environment = {
            name: value for name, value in os.environ.items() if not name.startswith("AWS_")
        }
        self.postmaster = None

    def make(self):
        """Make a new cluster, and start it."""
        run_program(
            self.programs / "initdb", "-D", self.data, "-U", self.user, "-A", "trust",
            "-E", "UTF8", "--locale=C", "--no-sync",
        )
        return self.start()

    def copy(self, conn):
        """Make a standby of another server, and start it."""
        run_program(
            self.programs / "pg_basebackup", "-D", self.data, "-R", "-X", "stream", "-c", "fast",
            "-h", conn.info.host, "-p", str(conn.info.port), "-U", conn.info.user,
        )
        return self.start()

    def start(self, **settings):
        """Start it, as our child: nobody else is to be asked whether it has ended."""
        command = [self.programs / "postgres", "-D", self.data]
        for name, value in {**self.settings, **settings}.items():
            command += ["-c", f"{name}={value}"]
        with open(self.folder / "log", "ab") as log:
            self.postmaster = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={name: str(value) for name, value in self.environment.items()},
            )
        self.wait()
        return self

    def stop(self, how=signal.SIGQUIT):
        """Stop it: SIGQUIT is the immediate shutdown, SIGINT the fast one."""
        if self.postmaster is not None:
            self.postmaster.send_signal(how)
            self.postmaster.wait(PATIENCE)
            self.postmaster = None

    def wait(self):
        """Until it takes connections (again)."""

        def answers():
            if self.postmaster.poll() is not None:
                raise AssertionError(self.last_words())
            try:
                self.connect("postgres").close()
            except psycopg.OperationalError:
                return False
            return True

        wait_until(answers, "the server does not take connections")

    def last_words(self):
        """The end of its log."""
        return (self.folder / "log").read_text(errors="replace")[-3000:]

    def processes(self):
        """Its processes but for the first, by pid, with their command lines."""
        found = {}
        for name in filter(str.isdigit, os.listdir("/proc")):
            process = pathlib.Path("/proc") / name
            try:
                if pathlib.Path(os.readlink(process / "cwd")) == self.data:
                    found[int(name)] = (process / "cmdline").read_bytes().decode(errors="replace")
            except OSError:  # somebody else's, or a process that has ended
                pass
        found.pop(self.postmaster.pid, None)
        return found

    def kill(self, everybody=False):
        """Kill the first process, or all of them; wait until none is left."""
        kill(self.postmaster.pid)
        self.postmaster.wait(PATIENCE)

        def nobody_left():
            left = self.processes()
            if everybody:
                for pid in left:
                    kill(pid)
            return not left

        wait_until(nobody_left, "processes have outlived their server")

    def crash(self, *pids):
        """Kill the first of these that has not ended by itself; wait until the server has restarted."""
        before = self.processes().keys()

        def restarts():
            return not before & self.processes().keys()

        for pid in pids:
            if kill(pid) and becomes_true(restarts, patience=5):
                break
        wait_until(restarts, "the server does not restart")
        self.wait()

    def connect(self, dbname):
        return connect(
            dbname, host=str(self.folder), port=5432, user=self.user, connect_timeout=PATIENCE
        )

    def database(self, dbname):
        """A connection with the calls that tests make."""
        return Database(self.connect(dbname))

    def make_database(self, dbname):
        """A new database with the extension."""
        with self.connect("postgres") as conn:
            conn.execute(f"CREATE DATABASE {dbname} TEMPLATE template0")
        db = self.database(dbname)
        db.run("CREATE EXTENSION stedi")
        return db
