"""What may not be read: the error names who may not, the part in the way, and the right.

Each part of the path of a local folder loses each right in turn.  Guards
src/s3/denied.c.
"""
import getpass
import os
import unittest

import psycopg
import psycopg.sql

from stedi_client import ServerTest, file_url

RECORD = '{"email": "ada@example.com", "lastUpdateDate": 1, "shareWithResearchAsOfDate": 1}\n'


def is_bound():
    """Does the operating system hold this user, whom the server runs as, to permissions?"""
    return os.geteuid() != 0


@unittest.skipUnless(is_bound(), "root may read everything")
class DeniedTest(ServerTest):
    def setUp(self):
        super().setUp()
        self.root = self.folder / "above" / "landing"
        self.deep = self.root / "customers" / "2026"
        self.deep.mkdir(parents=True, exist_ok=True)
        self.file = self.deep / "a.json"
        self.file.write_text(RECORD)
        self.db.drop("lake")
        self.db.make_landing("lake", file_url(self.root))
        self.addCleanup(self.db.drop, "lake")

    def failure(self, query="SELECT email FROM lake.customer_landing"):
        with self.assertRaises(psycopg.Error) as raised:
            self.db.run(query)
        return raised.exception.diag

    def lose(self, path, mode):
        before = os.stat(path).st_mode & 0o777
        os.chmod(path, mode)
        self.addCleanup(os.chmod, path, before)
        return before

    def test_each_part(self):
        user = getpass.getuser()
        for path, mode, right, command in (
            (self.root.parent, 0, "search folder", f"-m u:{user}:x"),
            (self.root.parent, 0o644, "search folder", f"-m u:{user}:x"),
            (self.root, 0, "search folder", f"-R -m u:{user}:rX"),
            (self.root / "customers", 0, "search folder", f"-R -m u:{user}:rX"),
            (self.root / "customers", 0o311, "list folder", f"-R -m u:{user}:rX"),
            (self.deep, 0, "search folder", f"-R -m u:{user}:rX"),
            (self.deep, 0o644, "search folder", f"-R -m u:{user}:rX"),
            (self.deep, 0o311, "list folder", f"-R -m u:{user}:rX"),
            (self.file, 0, "read file", f"-R -m u:{user}:rX"),
            (self.file, 0o333, "read file", f"-R -m u:{user}:rX"),
        ):
            with self.subTest(path=path.relative_to(self.folder), mode=oct(mode)):
                before = self.lose(path, mode)
                diag = self.failure()
                self.assertEqual(diag.sqlstate, "42501")
                self.assertIn("Permission denied", diag.message_primary)
                self.assertEqual(
                    diag.message_detail,
                    f'The database server runs as user "{user}" of the operating system,'
                    f' which may not {right} "{path}".',
                )
                self.assertEqual(
                    diag.message_hint, f"Give it that right, for example by: setfacl {command} '{path}'"
                )
                os.chmod(path, before)
                self.assertEqual(self.db.value("SELECT count(*) FROM lake.customer_landing"), 1)

    def test_links_are_not_told(self):
        """What a link stands for is known to none but who may look at the link."""
        secret = self.folder / "secret"
        secret.mkdir()
        (self.folder / "link").symlink_to(secret)
        self.db.drop("lake")
        self.db.make_landing("lake", file_url(self.folder / "link"))
        self.lose(secret, 0)
        diag = self.failure()
        self.assertIn(f'could not open folder "{self.folder}/link"', diag.message_primary)
        self.assertNotIn("secret", f"{diag.message_primary} {diag.message_detail} {diag.message_hint}")

    def test_who_is_told(self):
        """A reader learns what is in the way, not as whom the server runs."""
        self.db.run("DROP ROLE IF EXISTS regress_reader")
        self.db.run("CREATE ROLE regress_reader")
        self.addCleanup(self.db.run, "DROP ROLE regress_reader")
        self.db.run("GRANT USAGE ON SCHEMA lake TO regress_reader")
        self.db.run("GRANT SELECT ON lake.customer_landing TO regress_reader")
        self.addCleanup(self.db.run, "DROP OWNED BY regress_reader")
        self.lose(self.deep, 0)
        self.db.run("SET ROLE regress_reader")
        self.addCleanup(self.db.run, "RESET ROLE")
        diag = self.failure()
        self.assertEqual(diag.sqlstate, "42501")
        self.assertIn(f'may not search folder "{self.deep}"', diag.message_detail)
        self.assertNotIn(f'"{getpass.getuser()}"', diag.message_detail + diag.message_hint)
        self.assertNotIn("setfacl", diag.message_hint)

    def test_other_trouble(self):
        """An absent folder is no matter of rights."""
        self.db.run("ALTER SERVER lake OPTIONS (SET url %s)" % psycopg.sql.quote(file_url(self.root / "none")))
        diag = self.failure()
        self.assertEqual(diag.sqlstate, "58P01")
        self.assertEqual(diag.message_hint, 'Check option "url" of the server.')


if __name__ == "__main__":
    unittest.main()
