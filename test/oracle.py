#!/usr/bin/env python3
"""What the five tables must hold: doc/rules.md, a second time, in Python.

Proves nothing by itself; test/client compares the database with it.  It is
written to share no thought with src/: an object is read whole, Python's json
module judges first, and only what it refuses is looked at byte by byte.

    oracle.py DIR --consent granted|since_consent --now EPOCH_MS [--match time] [--json]
    compute(DIR, consent, now_ms, match='customer', without=()) -> Result

Where the rules leave a choice, the choice is marked with "Read as:".

A birthday is taken as PostgreSQL's date when it is YYYY-MM-DD, or YYY-MM-DD;
the other forms that PostgreSQL would take are not told apart here.
"""
import argparse
import collections
import datetime
import json
import os
import re
import subprocess
import sys
import unicodedata
import zlib
from dataclasses import dataclass, field
from decimal import Decimal

MAX_DEPTH = 256

# Unicode's Default_Ignorable_Code_Point, and Prepended_Concatenation_Mark.
IGNORABLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e"
    "\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3"
    "\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
PREPENDED = "\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd"

# PostgreSQL's timestamptz, in milliseconds since 1970: 4714-11-24 BC up to,
# not including, 294277-01-01.
FIRST_MS = -210866803200000
END_MS = 9224318016000000

# What a time of the zone is taken to be, in milliseconds: from 2000 up to 2100.
TIMES = range(946684800000, 4102444800000)

# The columns whose times are rejected when only another unit makes one of them.
DECIDING = ("registrationdate", "lastupdatedate", "sharewithresearchasofdate", "timestamp", "sensorreadingtime")

TABLES = (
    "customer_trusted",
    "accelerometer_trusted",
    "customer_curated",
    "step_trainer_curated",
    "machine_learning_curated",
)

# landing table -> its folder, its columns, and which of these are times
LANDING = {
    "customer_landing": (
        "customers",
        {
            "customername": "text",
            "email": "text",
            "phone": "text",
            "birthday": "text",
            "serialnumber": "text",
            "registrationdate": "bigint",
            "lastupdatedate": "bigint",
            "sharewithresearchasofdate": "bigint",
            "sharewithpublicasofdate": "bigint",
            "sharewithfriendsasofdate": "bigint",
        },
        (
            "registrationdate",
            "lastupdatedate",
            "sharewithresearchasofdate",
            "sharewithpublicasofdate",
            "sharewithfriendsasofdate",
        ),
    ),
    "accelerometer_landing": (
        "accelerometer",
        {"user": "text", "timestamp": "bigint", "x": "float", "y": "float", "z": "float"},
        ("timestamp",),
    ),
    "step_trainer_landing": (
        "step_trainer",
        {"sensorreadingtime": "bigint", "serialnumber": "text", "distancefromobject": "integer"},
        ("sensorreadingtime",),
    ),
}

# The rules that compute() can leave out: what a broken build might do.
RULES = (
    "newest",  # the newest record decides
    "ties",  # on a tie, no consent and then the later consent wins
    "lastupdate",  # customers, rule 3
    "unreadable",  # customers, rule 4
    "in_force",  # consent is greater than 0 and not later than now
    "email_form",  # e-mails have a normal form
    "duplicates",  # exact duplicates once
    "minus_zero",  # -0 is 0
    "ambiguity",  # devices, both rules
    "shared",  # devices, rule 1
    "handed_over",  # devices, rule 2
    "units",  # a time of another unit is the latest that it can mean
)


# Objects: from the folder to decompressed bytes


def list_objects(root, folder):
    """The keys of a landing table's objects, markers and _names and .names left out."""
    keys = []
    top = os.path.join(root, folder)
    for path, folders, names in os.walk(top):
        folders[:] = sorted(name for name in folders if name[0] not in "_.")
        for name in sorted(names):
            if name[0] not in "_.":
                keys.append(os.path.relpath(os.path.join(path, name), root))
    return sorted(keys, key=os.fsencode)


def read_object(root, key):
    """The decompressed bytes of an object, and whether these are damaged or cut off."""
    with open(os.path.join(root, key), "rb") as file:
        data = file.read()
    if data[:2] == b"\x1f\x8b":
        return gunzip(data)
    if data[:4] == b"\x28\xb5\x2f\xfd":
        done = subprocess.run(["zstd", "-dcq"], input=data, capture_output=True, check=False)
        return done.stdout, done.returncode != 0
    return data, False


def gunzip(data):
    """Undo gzip, member by member, up to where it is damaged."""
    out = []
    while data:
        inflate = zlib.decompressobj(31)
        try:
            out.append(inflate.decompress(data))
        except zlib.error:
            out.append(gunzip_slowly(data))
            return b"".join(out), True
        if not inflate.eof:
            return b"".join(out), True
        data = inflate.unused_data
    return b"".join(out), False


def gunzip_slowly(data):
    """What comes before the damage: zlib drops it when given more at a time."""
    inflate = zlib.decompressobj(31)
    out = []
    try:
        for pos in range(len(data)):
            out.append(inflate.decompress(data[pos : pos + 1]))
    except zlib.error:
        pass
    return b"".join(out)


# Framing: bytes to records.  The text is the bytes as Latin-1, so that
# positions in it are positions in the bytes.


@dataclass
class Piece:
    """A record (whole), or what cannot be one: bytes start to end."""

    start: int
    end: int
    whole: bool


class Number(str):
    """A JSON number, as written."""


def refuse(word):
    """Python takes NaN and Infinity; JSON does not."""
    raise ValueError(word)


JSON = json.JSONDecoder(
    object_pairs_hook=list, parse_int=Number, parse_float=Number, parse_constant=refuse
)
SPACE = re.compile(r"[ \t\r\n]*")
BOM = "\xef\xbb\xbf"
BETWEEN = re.compile(f"(?:[ \t\r\n]|{BOM})*")
MARK = re.compile(f'["{{}}\\[\\]]|{BOM}')
STRING = re.compile(r'"(?:[^"\\\n]|\\[^\n])*')


def frame(text, damaged=False):
    """Yield a Piece for every record and every reject of an object."""
    pos = 0
    in_array = comma_may_come = False
    while True:
        pos = BETWEEN.match(text, pos).end()
        if pos == len(text):
            break
        byte = text[pos]
        if byte == "," and comma_may_come:
            comma_may_come = False
            pos += 1
        elif byte in "[]" and in_array == (byte == "]"):
            in_array = not in_array
            # Read as: a comma comes right after a record, not after its array.
            comma_may_come = False
            pos += 1
        else:
            if byte == "{":
                piece, pos = frame_record(text, pos)
            else:
                piece = Piece(pos, line_end(text, pos), False)
                # of damaged bytes it is the last reject where its line is open
                pos = None if damaged and piece.end == len(text) else piece.end
            yield piece
            # Read as: a comma may come after a reject as after a record.
            comma_may_come = True
            if pos is None:
                return
    if in_array or damaged:
        yield Piece(len(text), len(text), False)


def line_end(text, pos):
    """Where the line of pos ends: its line feed, or the end."""
    end = text.find("\n", pos)
    return len(text) if end < 0 else end


def frame_record(text, start):
    """The Piece that starts at a {, and where to go on: None, with the next object."""
    try:
        end = JSON.raw_decode(text, start)[1]
    except (ValueError, RecursionError):
        return frame_by_hand(text, start)
    if text.count("{", start, end) + text.count("[", start, end) > MAX_DEPTH:
        return frame_by_hand(text, start)
    return Piece(start, end, True), end


def frame_by_hand(text, start):
    """The same for what Python's json does not take."""
    nesting = []
    pos = start
    while True:
        mark = MARK.search(text, pos)
        if mark is None:
            return Piece(start, len(text), False), None
        pos = mark.end()
        if mark[0] == BOM:
            return Piece(start, mark.start(), False), mark.start()
        if mark[0] == '"':
            pos = STRING.match(text, mark.start()).end()
            if text[pos : pos + 1] == "\\":
                pos += 1
            if pos == len(text):
                return Piece(start, pos, False), None
            if text[pos] == "\n":
                return Piece(start, pos, False), pos
            pos += 1
        elif mark[0] in "{[":
            at = mark.start()
            if mark[0] == "{" and text[at - 1] == "\n" and at > start:
                if not may_nest(text[start:at], nesting):
                    return Piece(start, at - 1, False), at
            nesting.append(mark[0])
            if len(nesting) > MAX_DEPTH:
                return Piece(start, len(text), False), None
        elif len(nesting) > 1:
            # Read as: either bracket closes the innermost one, whatever it is ...
            nesting.pop()
        elif mark[0] == "}":
            # ... but only a } ends the record.
            return Piece(start, pos, True), pos


def may_nest(before, nesting):
    """Does JSON allow a { after these bytes of a record?"""
    last = before.rstrip(" \t\r\n")[-1]
    return last in ":[" or (last == "," and nesting[-1] == "[")


# Records to fields, fields to values


class Unfit(Exception):
    """A value that its column does not take."""


def split_record(raw):
    """The members of a record as pairs, and whether it is JSON from end to end."""
    text = raw.decode("utf-8", "surrogateescape")
    try:
        return JSON.decode(text), not re.search("[\udc80-\udcff]", text)
    except (ValueError, RecursionError):
        return list(whole_members(text)), False


def whole_members(text):
    """The members of a record before its trouble."""
    pos = 1
    try:
        while True:
            pos = SPACE.match(text, pos).end()
            if text[pos : pos + 1] != '"':
                return
            key, pos = JSON.raw_decode(text, pos)
            pos = SPACE.match(text, pos).end()
            if text[pos : pos + 1] != ":":
                return
            value, end = JSON.raw_decode(text, SPACE.match(text, pos + 1).end())
            # a number or a word that touches the trouble may have been longer
            if not isinstance(value, (str, list)) or isinstance(value, Number):
                if text[end : end + 1] not in tuple(", \t\r\n}"):
                    return
            yield key, value
            pos = SPACE.match(text, end).end()
            if text[pos : pos + 1] != ",":
                return
            pos += 1
    except (ValueError, RecursionError):
        return


NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")


def number_of(value):
    """The text of a number, or of a string that holds one."""
    if not isinstance(value, str) or not NUMBER.fullmatch(value):
        raise Unfit
    return value


def to_text(value):
    if not isinstance(value, str) or "\0" in value or re.search("[\ud800-\udfff]", value):
        raise Unfit
    return str(value)


def to_integer(value, bits):
    number = Decimal(number_of(value))
    if number != 0 and not 0 <= number.adjusted() < 20:
        raise Unfit
    if number != number.to_integral_value() or not -(1 << bits) <= number < (1 << bits):
        raise Unfit
    return int(number)


def to_float(value):
    text = number_of(value)
    number = float(text)
    if number in (float("inf"), float("-inf")) or (number == 0 and Decimal(text) != 0):
        raise Unfit
    return number


CONVERT = {
    "text": to_text,
    "bigint": lambda value: to_integer(value, 63),
    "integer": lambda value: to_integer(value, 31),
    "float": to_float,
}


@dataclass
class Record:
    """A record or reject: where it is, and what is known of its columns."""

    object: str
    line: int
    byte_offset: int
    raw: bytes
    rejected: bool = False
    values: dict = field(default_factory=dict)  # None: missing or null
    unreadable: set = field(default_factory=set)

    def get(self, column):
        return self.values.get(column)


def judge(record, columns, whole):
    """Fill in what is known of a record, and say whether all of it is right."""
    members, is_json = split_record(record.raw)
    seen = {}
    for key, value in members:
        name = re.sub("[A-Z]", lambda letter: letter[0].lower(), key)
        if name not in columns:
            continue
        # Read as: values differ when their texts do, escapes undone; 1 is not 1.0.
        if name in seen and seen[name] != (type(value), value):
            record.unreadable.add(name)
        seen[name] = (type(value), value)
    for name, (_, value) in seen.items():
        if name in record.unreadable or value is None:
            continue
        try:
            record.values[name] = CONVERT[columns[name]](value)
        except Unfit:
            record.unreadable.add(name)
    record.rejected = not whole or not is_json or bool(record.unreadable)


def other_unit(ms):
    """The latest time that a number of ms means in another unit, where it can only be of one."""
    if ms in TIMES:
        return None
    for time in (ms * 1000 + 999, ms // 1000, ms // 1000000):
        if time in TIMES:
            return time
    return None


def lacks(record, table, times):
    """Does a record miss what the zones cannot do without?"""
    for name in set(times) & set(DECIDING):
        if record.get(name) is not None and other_unit(record.get(name)) is not None:
            return True
    if any(not FIRST_MS <= record.values.get(name, 0) < END_MS for name in times):
        return True
    if table == "customer_landing":
        return not normal(record.get("email"))
    if record.get(times[0]) is None:
        return True
    if table == "accelerometer_landing":
        return not normal(record.get("user"))
    return not record.get("serialnumber")


def normal(email):
    """An e-mail as customers are told apart by it; None when it names nobody.

    By this Python's Unicode, which may be later than the one of doc/rules.md: a
    code point that the latter does not have must not be asked about.
    """
    if email is None:
        return None
    if email.isascii() and email.isprintable():
        return email.strip(" ").lower() or None
    before = None
    while email != before:
        before = email
        email = "".join(map(seen, email))
        email = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", email).casefold())
    return unicodedata.normalize("NFC", one_dot(email)).strip(" ") or None


def seen(char):
    """A character as it is seen: white space as a space, others not at all."""
    if char.isspace() or char == "\u2800":
        # Python counts four separators of ASCII as space, Unicode does not
        return "" if char in "\x1c\x1d\x1e\x1f" else " "
    if unicodedata.category(char) == "Cc" or IGNORABLE.fullmatch(char):
        return ""
    if unicodedata.category(char) == "Cf" and char not in PREPENDED:
        return ""
    return char


def one_dot(text):
    """Decomposed text without a dot above a letter that has one of its own."""
    kept = []
    dotted = False
    for char in text:
        if unicodedata.combining(char) == 0:
            dotted = char in "ij\u0456\u0458"
        elif unicodedata.combining(char) == 230 and char != "\u0307":
            dotted = False
        if not dotted or char != "\u0307":
            kept.append(char)
    return "".join(kept)


def read_zone(root):
    """All records and rejects of the three landing tables."""
    return {table: read_landing(str(root), table) for table in LANDING}


def read_landing(root, table, for_zone=True):
    """All records and rejects of a landing table; for_zone: by what the zones need, too."""
    folder, columns, times = LANDING[table]
    records = []
    for key in list_objects(root, folder):
        data, damaged = read_object(root, key)
        line, counted = 1, 0
        for piece in frame(data.decode("latin-1"), damaged):
            line += data.count(b"\n", counted, piece.start)
            counted = piece.start
            record = Record(key, line, piece.start, data[piece.start : piece.end])
            if record.raw[:1] == b"{":
                judge(record, columns, piece.whole)
            if not piece.whole or (for_zone and lacks(record, table, times)):
                record.rejected = True
            records.append(record)
    return records


# Customers and devices


@dataclass
class Customer:
    """What all records of an e-mail say together."""

    records: list = field(default_factory=list)
    rejects: list = field(default_factory=list)
    decider: Record = None
    blocked: bool = False  # by rule 4
    consent: int = None  # in force, of a customer who is in; else None


class Rules:
    """The judgement on customers, for one `now` and one set of rules left out."""

    def __init__(self, now_ms, without=()):
        unknown = set(without) - set(RULES)
        if unknown:
            raise ValueError(f"no such rule: {sorted(unknown)}")
        self.now = now_ms
        self.without = set(without)

    def form(self, email):
        return email if "email_form" in self.without else normal(email)

    def consent_of(self, record):
        """The consent date of a record if it is in force, else None."""
        date = record.get("sharewithresearchasofdate")
        if date is None or "in_force" in self.without:
            return date
        return date if 0 < date <= self.now else None

    def rank(self, record):
        """The deciding record is the one of the greatest rank.

        Read as: a record without a lastUpdateDate is the oldest.  Of equally
        old records the NULL is the greatest, in the consent date as well.
        """

        def high(column):
            value = record.get(column)
            return (value is None, value.encode() if isinstance(value, str) else value)

        refused = self.consent_of(record) is None
        tie = (refused, high("sharewithresearchasofdate"))
        if "ties" in self.without:
            tie = (not refused, high("sharewithfriendsasofdate"))
        rest = (
            "serialnumber",
            "registrationdate",
            "customername",
            "phone",
            "birthday",
            "sharewithpublicasofdate",
            "sharewithfriendsasofdate",
        )
        date = record.get("lastupdatedate")
        age = (date is not None, date)
        if "newest" in self.without:
            age = not refused
        return (age, tie, tuple(high(column) for column in rest))

    def puts_out(self, record):
        """Customers, rule 3."""
        date = record.get("lastupdatedate")
        return "lastupdate" not in self.without and (date is None or date > self.now)

    def blocks(self, reject, records):
        """Customers, rule 4: does a reject put out the customer of these records?

        Read as: a null lastUpdateDate is a missing one.
        """
        date = reject.get("lastupdatedate")
        if date is not None and "units" not in self.without:
            # Read as: of another unit, it is the latest that this can mean.
            date = other_unit(date) or date
        if date is not None and not FIRST_MS <= date < END_MS:
            date = None  # Read as: what is no time cannot be read.
        dates = [record.get("lastupdatedate") for record in records]
        return "unreadable" not in self.without and (
            date is None or all(other is None or date >= other for other in dates)
        )

    def customers(self, records):
        """All customers that some record names, by e-mail."""
        found = collections.defaultdict(Customer)
        for record in records:
            email = self.form(record.get("email"))
            if normal(email) is not None:
                kind = found[email].rejects if record.rejected else found[email].records
                kind.append(record)
        for customer in found.values():
            self.decide(customer)
        return dict(found)

    def decide(self, customer):
        """Who decides, and is the customer in?"""
        customer.blocked = any(self.blocks(one, customer.records) for one in customer.rejects)
        if not customer.records:
            customer.blocked = True
            return
        customer.decider = max(customer.records, key=self.rank)
        if not customer.blocked and not any(map(self.puts_out, customer.records)):
            customer.consent = self.consent_of(customer.decider)

    def devices(self, customers):
        """Serial number -> Device."""
        found = collections.defaultdict(Device)
        for email, customer in customers.items():
            for record in customer.records + customer.rejects:
                serial = record.get("serialnumber")
                if not serial:
                    continue
                # Read as: the newest readable record decides for devices even
                # where a reject put the customer out.
                holds = record is customer.decider or (
                    self.blocks(record, customer.records)
                    if record.rejected
                    else self.puts_out(record)
                )
                if holds:
                    found[serial].holders.add(email)
                else:
                    found[serial].once.add(email)
        for device in found.values():
            holder = customers.get(device.owner())
            if holder and holder.decider:
                device.registered = holder.decider.get("registrationdate")
        return dict(found)

    def ambiguous(self, device, time):
        """Is it uncertain whose a reading of this device is?"""
        if "ambiguity" in self.without:
            return False
        if len(device.holders) > 1:
            return "shared" not in self.without
        if not device.once - device.holders or "handed_over" in self.without:
            return False
        return device.registered is None or time < device.registered


@dataclass
class Device:
    """Whose it is.

    Read as: the holder's registrationDate is that of the deciding record, also
    where another record makes somebody the holder.
    """

    holders: set = field(default_factory=set)  # e-mails, as is once
    once: set = field(default_factory=set)
    registered: int = None

    def owner(self):
        """Its holder, if anybody holds it."""
        return min(self.holders, default=None)


# The five tables


@dataclass
class Result:
    """Expected rows (lists of tuples), counters, and rejects of each landing table."""

    tables: dict
    report: dict
    rejects: dict


class Zone:
    """One materialisation."""

    def __init__(self, landing, consent, rules):
        self.landing = landing
        self.rules = rules
        self.since = {"granted": False, "since_consent": True}[consent]
        self.tables = {}
        self.report = {}

    def start(self, table, landing):
        """Begin a table's counters: the records to look at, and where to count."""
        records = self.landing[landing]
        counts = collections.Counter(records_read=len(records))
        counts["rejected"] = sum(record.rejected for record in records)
        self.report[table] = counts
        return [record for record in records if not record.rejected], counts

    def customer_trusted(self):
        self.customers = self.rules.customers(self.landing["customer_landing"])
        counts = self.start("customer_trusted", "customer_landing")[1]
        rows = []
        for email, customer in self.customers.items():
            counts["superseded"] += len(customer.records)
            if customer.blocked:
                continue
            counts["superseded"] -= 1
            if customer.consent is None:
                counts["no_consent"] += 1
            else:
                rows.append(customer_row(email, customer.decider))
        self.tables["customer_trusted"] = rows

    def accelerometer_trusted(self):
        records, counts = self.start("accelerometer_trusted", "accelerometer_landing")
        kept = Keeper(self.rules, counts)
        for record in records:
            email = self.rules.form(record.get("user"))
            time = record.get("timestamp")
            customer = self.customers.get(email)
            if customer is None:
                counts["unknown_owner"] += 1
            elif customer.consent is None:
                counts["no_consent"] += 1
            elif self.in_time(customer, time, counts):
                kept.add((email, time, record.get("x"), record.get("y"), record.get("z")))
        self.tables["accelerometer_trusted"] = kept.rows

    def in_time(self, customer, time, counts):
        """Is the reading kept under the rule?  Counts it when it is older than the consent.

        Read as: before_consent under 'granted' counts records, duplicates too.
        """
        before = time < customer.consent
        counts["before_consent"] += before
        return not (before and self.since)

    def customer_curated(self):
        self.moved = {row[0] for row in self.tables["accelerometer_trusted"]}
        self.tables["customer_curated"] = [
            row for row in self.tables["customer_trusted"] if row[1] in self.moved
        ]

    def step_trainer_curated(self):
        records, counts = self.start("step_trainer_curated", "step_trainer_landing")
        self.devices = self.rules.devices(self.customers)
        kept = Keeper(self.rules, counts)
        for record in records:
            serial = record.get("serialnumber")
            time = record.get("sensorreadingtime")
            device = self.devices.get(serial, Device())
            email = device.owner()
            # Read as: of two reasons, "ambiguous" comes before "its owner is
            # not in customer_curated".
            if email is None:
                counts["unknown_owner"] += 1
            elif self.rules.ambiguous(device, time):
                counts["ambiguous"] += 1
            elif self.customers[email].consent is None:
                counts["no_consent"] += 1
            elif email not in self.moved:
                counts["without_readings"] += 1
            elif self.in_time(self.customers[email], time, counts):
                kept.add((time, serial, record.get("distancefromobject")))
        self.tables["step_trainer_curated"] = kept.rows

    def machine_learning_curated(self, match):
        moves = collections.defaultdict(list)
        for email, time, *xyz in self.tables["accelerometer_trusted"]:
            moves[time if match == "time" else (email, time)].append(xyz)
        rows = []
        for time, serial, distance in self.tables["step_trainer_curated"]:
            owner = self.devices[serial].owner()
            for xyz in moves.get(time if match == "time" else (owner, time), ()):
                rows.append((serial, time, distance, *xyz))
        self.tables["machine_learning_curated"] = rows

    def finish(self):
        for table, rows in self.tables.items():
            self.report.setdefault(table, collections.Counter())["rows"] = len(rows)
        rejects = {
            table: [record for record in records if record.rejected]
            for table, records in self.landing.items()
        }
        return Result(self.tables, self.report, rejects)


class Keeper:
    """Keeps rows, exact duplicates once."""

    def __init__(self, rules, counts):
        self.without = rules.without
        self.counts = counts
        self.rows = []
        self.seen = set()

    def add(self, row):
        mark = row
        if "minus_zero" in self.without:
            mark = tuple(map(repr, row))
        if mark in self.seen and "duplicates" not in self.without:
            self.counts["duplicates"] += 1
            return
        self.seen.add(mark)
        self.rows.append(row)


def customer_row(email, record):
    columns = list(LANDING["customer_landing"][1])
    row = {column: record.get(column) for column in columns}
    row["email"] = email
    row["birthday"] = to_date(row["birthday"])
    return tuple(row[column] for column in columns)


def to_date(text):
    """A date as YYYY-MM-DD, or None where that is no date."""
    if text is None or not re.fullmatch(r"\d{3,4}-\d\d-\d\d", text, re.ASCII):
        return None
    try:
        return datetime.date.fromisoformat(text.zfill(10)).isoformat()
    except ValueError:
        return None


def compute(root, consent, now_ms, match="customer", without=(), landing=None):
    """The five tables of a landing zone.

    Times are epoch milliseconds, a birthday is YYYY-MM-DD.  without names
    RULES to leave out; landing is what read_zone(root) gave, if that is known.
    """
    zone = Zone(landing or read_zone(root), consent, Rules(now_ms, without))
    zone.customer_trusted()
    zone.accelerometer_trusted()
    zone.customer_curated()
    zone.step_trainer_curated()
    zone.machine_learning_curated(match)
    return zone.finish()


def main():
    parser = argparse.ArgumentParser(description="What the five tables must hold.")
    parser.add_argument("folder")
    parser.add_argument("--consent", choices=("granted", "since_consent"), default="granted")
    parser.add_argument("--now", type=int, required=True, help="epoch milliseconds")
    parser.add_argument("--match", choices=("customer", "time"), default="customer")
    parser.add_argument("--without", action="append", choices=RULES, default=[])
    parser.add_argument("--json", action="store_true", help="rows and rejects, too")
    args = parser.parse_args()

    result = compute(args.folder, args.consent, args.now, args.match, args.without)
    rejects = {
        table: [(one.object, one.line, one.byte_offset) for one in records]
        for table, records in result.rejects.items()
    }
    if args.json:
        json.dump({**vars(result), "rejects": rejects}, sys.stdout, indent=1)
        print()
        return
    for table in TABLES:
        counts = ", ".join(f"{name} {n}" for name, n in sorted(result.report[table].items()))
        print(f"{table}: {counts}")
    for table, places in rejects.items():
        print(f"{table}: {len(places)} rejects")


if __name__ == "__main__":
    main()
