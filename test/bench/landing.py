#!/usr/bin/env python3
"""Write a large, tidy landing zone: what `make bench` reads.

    landing.py OUT_DIR [--customers N] [--seed N]
               [--form plain|shuffled|concatenated|gzip]

The same arguments give the same bytes.  A zone that is there already, by the
same arguments, is left as it is; manifest.json, written last, tells.

The layout is that of the real bucket, and so are the keys' order and the way
numbers are written.  In a session, a customer's device takes one step reading
and, at the same millisecond, two or three accelerometer readings: there are
SESSIONS of them a customer, in rounds of all customers, each in an order of
its own.  So an object holds a stretch of time and all customers, in runs of
two or three records, as a landing zone fills, and hash tables are hit at
random.  COPIES of the readings of an object were delivered before, in an
earlier object.

Forms: `shuffled` writes each record's keys in an order of its own,
`concatenated` writes no line ends (`}{`), `gzip` compresses the objects.
"""
import argparse
import array
import functools
import gzip
import itertools
import json
import multiprocessing
import os
import pathlib
import random
import shutil
import sys

LAYOUT = 1  # raise it when the same arguments give other bytes

SESSIONS = 30  # a customer
RECORDS = 100_000  # an object
COPIES = 1_000  # of them
BLOCK = 19_800  # sessions that share a random stream; even; divides both below
MOVES_SESSIONS = (RECORDS - COPIES) // 5 * 2  # sessions in an accelerometer object
STEPS_SESSIONS = RECORDS - COPIES  # and in one of step_trainer

DAY = 86_400_000
START = 1_580_515_200_000  # the first session: 2020-02-01
SPAN = 900 * DAY  # from the first session to the last
JITTER = 65_536  # milliseconds: sessions do not arrive in order of their times

GIVEN = ("Ada Ben Carla Dara Edo Fatima Grace Hans Ines Jun Kofi Lena Mira Noa Omar Pia "
         "Quinn Rosa Santosh Tala Uma Viktor Wen Ximena Yusuf Zoe").split()
FAMILY = ("Abara Berg Castro Dahl Eze Fontaine Gupta Haas Ito Jansen Khatib Lopez Mueller "
          "Novak Okafor Petrov Quist Rossi Sato Tran Usman Vega Wong Young Zhang").split()

AXIS = [f"{n / 10:.1f}" for n in range(-10, 11) if n] + ["0.0"]
TAILS = [f',"x":{x},"y":{y},"z":{z}}}' for x, y, z in itertools.product(AXIS, repeat=3)]
# by any 16 random bits
TAILS = [TAILS[n % len(TAILS)] for n in range(65_536)]
# by any 8: distances of the real data
DISTANCES = [f',"distanceFromObject":{190 + n * 110 // 256}}}' for n in range(256)]

TABLES = ("customers", "accelerometer", "step_trainer")


def uuid_of(rng):
    digits = f"{rng.getrandbits(128):032x}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


class Zone:
    """What all objects have in common; the workers inherit it."""

    def __init__(self, args):
        self.args = args
        self.n = args.customers
        self.n_sessions = self.n * SESSIONS
        rng = self.rng("zone")
        self.order = list(range(self.n))
        rng.shuffle(self.order)
        self.turns = [rng.randrange(self.n) for _ in range(SESSIONS)]
        self.moves_heads = []
        self.steps_heads = []
        self.customers = []  # (lastUpdateDate, record)
        for number in range(self.n):
            self.customer(rng, number)
        self.customers.sort()

    def rng(self, *what):
        return random.Random("/".join(map(str, (self.args.seed, *what))))

    def customer(self, rng, number):
        """One customer's records, and what the readings say of them."""
        given, family = rng.choice(GIVEN), rng.choice(FAMILY)
        email = f"{given}.{family}{number}@test.com"
        serial = uuid_of(rng)
        self.moves_heads.append(f'{{"user":"{email}","timestamp":')
        self.steps_heads.append((f'{{"sensorReadingTime":', f',"serialNumber":"{serial}"'))

        phone = f"801{rng.randrange(10**7):07}"
        birthday = f"{rng.randrange(1930, 2005)}-{rng.randrange(1, 13):02}-{rng.randrange(1, 29):02}"
        registered = START - 1 - rng.randrange(200 * DAY)
        consent = registered + 1 + rng.randrange(START + SPAN // 2 - registered)
        later = consent + 1 + rng.randrange(100 * DAY)

        def record(updated, research):
            members = [
                f'"customerName": "{given} {family}"',
                f'"email": "{email}"',
                f'"phone": "{phone}"',
                f'"birthDay": "{birthday}"',
                f'"serialNumber": "{serial}"',
                f'"registrationDate": {registered}',
                f'"lastUpdateDate": {updated}',
            ]
            if research:
                members.append(f'"shareWithResearchAsOfDate": {research}')
            if rng.random() < 0.4:
                members.append(f'"shareWithPublicAsOfDate": {updated}')
            if rng.random() < 0.6:
                members.append(f'"shareWithFriendsAsOfDate": {updated}')
            self.customers.append((updated, f'{{{", ".join(members)}}}'))

        story = rng.random()
        if story < 0.01:  # a withdrawal
            record(consent, consent)
            record(later, None)
        elif story < 0.02:  # a consent given anew
            record(consent, consent)
            record(later, later)
        elif rng.random() < 0.5:
            if story < 0.03:  # no consent at first
                record(registered, None)
            record(consent, consent)
        else:
            if story < 0.03:  # the same again
                record(registered, None)
            record(registered + 1, None)

    @functools.lru_cache(8)
    def block(self, number):
        """The sessions of a block: whose, when, and their random streams."""
        first = number * BLOCK
        n = min(BLOCK, self.n_sessions - first)
        rng = self.rng("block", number)
        jitter = array.array("H", rng.randbytes(BLOCK * 2))
        tails = array.array("H", rng.randbytes(BLOCK * 5))
        distances = rng.randbytes(BLOCK)
        who = []
        while len(who) < n:
            turn, place = divmod(first + len(who), self.n)
            turn = self.turns[turn]
            who += [self.order[(other + turn) % self.n]
                    for other in self.order[place:place + n - len(who)]]
        when = [str(START + session * SPAN // self.n_sessions + late)
                for session, late in zip(range(first, first + n), jitter)]
        return who, when, tails, distances

    def blocks(self, first, end):
        return range(first // BLOCK, -(-min(end, self.n_sessions) // BLOCK))

    def moves(self, number, only=None):
        """The accelerometer records of a block, or some by their places."""
        who, when, tails, _ = self.block(number)
        heads = self.moves_heads
        if only is not None:
            return [heads[who[place]] + when[place] + TAILS[tails[record]]
                    for record in only(len(who) // 2 * 5)
                    for place in (record // 5 * 2 + (record % 5 > 1),)]
        lines = []
        tail = iter(map(TAILS.__getitem__, tails))
        for place in range(0, len(who), 2):
            one = heads[who[place]] + when[place]
            two = heads[who[place + 1]] + when[place + 1]
            lines += (one + next(tail), one + next(tail),
                      two + next(tail), two + next(tail), two + next(tail))
        return lines

    def steps(self, number, only=None):
        """The step trainer records of a block, or some by their places."""
        who, when, _, distances = self.block(number)
        heads = self.steps_heads
        places = range(len(who)) if only is None else only(len(who))
        return [heads[who[place]][0] + when[place] + heads[who[place]][1] + DISTANCES[distances[place]]
                for place in places]

    def readings(self, make, per_object, number):
        """Records of an object of readings: its own and, among them, copies."""
        first = number * per_object
        own = []
        for block in self.blocks(first, first + per_object):
            own += make(block)
        if number == 0:
            return own
        rng = self.rng(make.__name__, number)
        earlier = number - 1 - rng.randrange(min(number, 5))
        block = rng.choice(self.blocks(earlier * per_object, (earlier + 1) * per_object))
        n_copies = max(1, len(own) * COPIES // (RECORDS - COPIES))
        copies = make(block, lambda n: rng.sample(range(n), n_copies))
        lines = []
        apart = -(-len(own) // n_copies)
        for place, copy in zip(range(0, len(own), apart), copies):
            lines += own[place:place + apart]
            lines.append(copy)
        return lines

    def jobs(self):
        """Every object: its table, number and name."""
        jobs = []
        for number, first in enumerate(range(0, len(self.customers), RECORDS)):
            last = self.customers[min(first + RECORDS, len(self.customers)) - 1][0]
            jobs.append(("customers", number, f"customer-{last + number}"))
        for table, per_object in (("accelerometer", MOVES_SESSIONS), ("step_trainer", STEPS_SESSIONS)):
            for number in range(-(-self.n_sessions // per_object)):
                end = min((number + 1) * per_object, self.n_sessions)
                time = START + end * SPAN // self.n_sessions + JITTER
                jobs.append((table, number, f"{table}-{time}"))
        return jobs

    def write(self, table, number, name):
        """Write one object; returns its table, records and bytes."""
        separator = ","
        if table == "customers":
            separator = ", "
            lines = [line for _, line in self.customers[number * RECORDS:(number + 1) * RECORDS]]
        elif table == "accelerometer":
            lines = self.readings(self.moves, MOVES_SESSIONS, number)
        else:
            lines = self.readings(self.steps, STEPS_SESSIONS, number)
        n_records = len(lines)

        form = self.args.form
        if form == "shuffled":
            lines = shuffle_keys(lines, separator, self.rng("keys", table, number))
        if form == "concatenated":
            content = "".join(lines).encode()
        else:
            lines.append("")
            content = "\n".join(lines).encode()
        name += ".json"
        if form == "gzip":
            name += ".gz"
            content = gzip.compress(content, 6, mtime=0)
        path = self.args.part / table / name
        path.write_bytes(content)
        path.chmod(0o644)
        return table, n_records, len(content)


def shuffle_keys(lines, separator, rng):
    """The same records, each with its keys in another order."""
    shuffled = []
    for line in lines:
        members = line[1:-1].split(separator)
        rng.shuffle(members)
        shuffled.append(f"{{{separator.join(members)}}}")
    return shuffled


zone = None  # of the workers, which inherit it


def write(job):
    return zone.write(*job)


def arguments_of(args):
    return {"layout": LAYOUT, "customers": args.customers, "seed": args.seed, "form": args.form}


def found(args):
    """The manifest of the zone that is there, if it is the one that is wanted."""
    try:
        manifest = json.loads((args.out / "manifest.json").read_text())
    except FileNotFoundError:
        return None
    if manifest["arguments"] != arguments_of(args):
        return None
    for table in TABLES:
        sizes = [path.stat().st_size for path in (args.out / table).iterdir()]
        if (len(sizes), sum(sizes)) != (manifest[table]["objects"], manifest[table]["bytes"]):
            return None
    return manifest


def make(args):
    """Write the zone beside its place, then move it there."""
    global zone
    if args.out.exists() and not (args.out / "manifest.json").exists() and any(args.out.iterdir()):
        sys.exit(f"landing.py: {args.out} is in the way: it holds something else")
    args.part = args.out.with_name(args.out.name + ".part")
    shutil.rmtree(args.part, ignore_errors=True)
    for table in TABLES:
        (args.part / table).mkdir(parents=True)
        (args.part / table).chmod(0o755)
    args.part.chmod(0o755)

    zone = Zone(args)
    manifest = {"arguments": arguments_of(args)}
    for table in TABLES:
        manifest[table] = {"objects": 0, "records": 0, "bytes": 0}
    with multiprocessing.get_context("fork").Pool(len(os.sched_getaffinity(0))) as pool:
        for table, n_records, n_bytes in pool.imap_unordered(write, zone.jobs()):
            manifest[table]["objects"] += 1
            manifest[table]["records"] += n_records
            manifest[table]["bytes"] += n_bytes
    path = args.part / "manifest.json"
    path.write_text(json.dumps(manifest, indent=4) + "\n")
    path.chmod(0o644)
    if args.out.exists():
        shutil.rmtree(args.out)
    args.part.rename(args.out)
    return manifest


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=pathlib.Path, metavar="out_dir")
    parser.add_argument("--customers", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--form", choices=("plain", "shuffled", "concatenated", "gzip"), default="plain")
    args = parser.parse_args()
    if args.customers < 100:
        parser.error("fewer than 100 customers measure nothing")
    manifest = found(args) or make(args)
    print(json.dumps(manifest))


if __name__ == "__main__":
    main()
