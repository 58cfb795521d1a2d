#!/usr/bin/env python3
"""Write a landing zone: customers/, accelerometer/ and step_trainer/ below a folder.

    landing.py OUT_DIR [--seed N] [--customers N] [--readings N] [--steps N]
               [--clean | --gait SECONDS] [--now EPOCH_MS]

With --clean the zone is tidy.  With --gait it is, too, and its readings are of
people who step and stand (gait.py), so many seconds each; when each did which
goes into OUT_DIR.labels.csv, beside the zone: device, start and end in epoch
milliseconds, and whether they stepped.  Else every kind of dirt that doc/rules.md has a rule for occurs, and more than once however few the
customers: SCENARIOS are the customers' stories, READING_DIRT and NOT_JSON the
records that are wrong by themselves, STYLES, GARBAGE, CUTS and EMPTY the
framings.

The same arguments give the same bytes: no clock, no hash order.  All dates
lie before --now or after the year 2100.
"""
import argparse
import functools
import gzip
import json
import os
import random
import shutil
import subprocess

import gait

HOUR = 3_600_000
DAY = 24 * HOUR
FUTURE = 4_200_000_000_000  # 2103
NOW = 1_669_852_800_000  # 2022-12-01
TOO_LATE = 9_224_318_016_000_000  # the first that timestamptz does not take

GIVEN = "Ada Ben Chloé Dara Edo Fatima Grace Håkon Ines Jun Kofi Lena Mira Noa Omar Pia".split()
FAMILY = "Abara Berg Castro Dahl Eze Fontaine Gupta Haas Ito Jansen Kim Lopez Müller".split()


class Raw(str):
    """A value written as it stands."""


class Member(str):
    """A whole "key": value of a record, written as it stands."""


class Line(bytes):
    """Something that is no record: it gets lines of its own."""


class Person:
    """A customer to be: what the records of a story have in common."""

    def __init__(self, rng, number, now):
        self.name = f"{rng.choice(GIVEN)} {rng.choice(FAMILY)}"
        self.email = f"{self.name.replace(' ', '.')}.{number}@example.com".lower()
        self.phone = f"555{rng.randrange(10**7):07}"
        year, month, day = rng.randrange(1920, 2005), rng.randrange(1, 13), rng.randrange(1, 29)
        self.birthday = f"{year}-{month:02}-{day:02}"
        self.serial = uuid_of(rng)
        self.registered = now - rng.randrange(900, 1300) * DAY - rng.randrange(DAY)
        self.consent = self.registered + rng.randrange(1, 300) * DAY
        self.updated = self.consent + rng.randrange(0, 100) * DAY

    def record(self, **changes):
        """A customer record, as (key, value) pairs; a change to ... leaves the key out."""
        values = {
            "customerName": self.name,
            "email": self.email,
            "phone": self.phone,
            "birthDay": self.birthday,
            "serialNumber": self.serial,
            "registrationDate": self.registered,
            "lastUpdateDate": self.updated,
            "shareWithResearchAsOfDate": self.consent,
            "shareWithPublicAsOfDate": self.consent,
            "shareWithFriendsAsOfDate": self.consent,
        }
        short = {
            "name": "customerName",
            "birthday": "birthDay",
            "serial": "serialNumber",
            "registered": "registrationDate",
            "updated": "lastUpdateDate",
            "research": "shareWithResearchAsOfDate",
            "public": "shareWithPublicAsOfDate",
            "friends": "shareWithFriendsAsOfDate",
        }
        for key, value in changes.items():
            values[short.get(key, key)] = value
        return [(key, value) for key, value in values.items() if value is not ...]


def uuid_of(rng):
    digits = f"{rng.getrandbits(128):032x}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


class Zone:
    """The records of a landing zone, before they are put into objects."""

    def __init__(self, args):
        self.rng = random.Random(args.seed)
        self.now = args.now
        self.n_readings = args.readings
        self.n_steps = args.steps
        self.n_people = 0
        self.people = []  # those whose readings are good
        self.customers = []
        self.moves = []
        self.steps = []
        self.labels = []  # device, start, end, stepping?

    def person(self):
        self.n_people += 1
        return Person(self.rng, self.n_people, self.now)

    def customer(self, person, **changes):
        self.customers.append(person.record(**changes))

    def times(self, person, n):
        """Reading times: around the registration, at the consent, on a grid that all share."""
        first = person.registered // DAY - 40
        grid = [(first + self.rng.randrange(500)) * DAY for _ in range(n)]
        exact = [person.consent, person.consent - 1, person.registered, person.registered - 1]
        return (exact + grid)[: max(n, len(exact))]

    def live(self, person, times=None, serial=None):
        """Readings of a person, from the wrist and from the step trainer."""
        if times is None:
            times = self.times(person, self.n_readings)
        for time in times:
            for _ in range(self.rng.choice((1, 1, 1, 2))):
                self.move(person.email, time)
        extra = self.times(person, self.n_steps)[4:]
        for time in times[: max(self.n_steps - len(extra), 4)] + extra:
            self.step(serial or person.serial, time)

    def move(self, email, time, **changes):
        x, y, z = (self.rng.choice((-1.0, 0.0, 0.5, 1.0, 0.1, 1e-7)) for _ in "xyz")
        values = {"user": email, "timestamp": time, "x": x, "y": y, "z": z, **changes}
        self.moves.append([(key, value) for key, value in values.items() if value is not ...])

    def step(self, serial, time, **changes):
        distance = self.rng.randrange(190, 300)
        values = {
            "sensorReadingTime": time,
            "serialNumber": serial,
            "distanceFromObject": distance,
            **changes,
        }
        self.steps.append([(key, value) for key, value in values.items() if value is not ...])


# The stories.  Each makes its own people; the objects come in any order.


def granted(zone):
    person = zone.person()
    zone.people.append(person)
    zone.customer(person)
    zone.live(person)


def refused(zone):
    for research in (..., None):
        person = zone.person()
        zone.customer(person, research=research)
        zone.live(person)


def consent_in_newer(zone):
    person = zone.person()
    zone.customer(person, updated=person.registered, research=..., phone="older")
    zone.customer(person)
    zone.live(person)


def withdrawn(zone, research):
    person = zone.person()
    zone.customer(person)
    zone.customer(person, updated=person.updated + DAY, research=research)
    zone.live(person)


def given_again(zone):
    person = zone.person()
    zone.customer(person, updated=person.updated + 2 * DAY, research=person.consent + DAY)
    zone.customer(person, updated=person.updated + DAY, research=0)
    zone.customer(person)
    zone.live(person)


def tie_with_none(zone):
    person = zone.person()
    zone.customer(person)
    zone.customer(person, research=zone.rng.choice((..., 0, FUTURE)))
    zone.live(person)


def tie_of_dates(zone):
    person = zone.person()
    zone.customer(person, research=person.consent - 5 * DAY, friends=person.consent + DAY)
    zone.customer(person)
    zone.live(person)


def tie_of_all(zone):
    person = zone.person()
    for _ in range(3):
        zone.customer(person)
    zone.live(person)


def tie_of_rest(zone, **other):
    """The greater record decides, NULL being the greatest; by each of the other columns."""
    person = zone.person()
    zone.customer(person)
    zone.customer(person, **{name: change(person) for name, change in other.items()})
    zone.live(person)


def undated(zone, updated):
    """A lastUpdateDate that is missing, null or in the future: out, however good the rest is."""
    person = zone.person()
    zone.customer(person)
    zone.customer(person, updated=updated, serial=uuid_of(zone.rng))
    zone.live(person)


def unreadable(zone, **changes):
    """One record is good, the other a reject; changes say when it is from."""
    person = zone.person()
    newer = changes.pop("newer", 0)
    zone.customer(person)
    zone.customer(person, updated=person.updated + newer * DAY, **changes)
    zone.live(person)


# Numbers that are times of another unit than milliseconds.
UNITS = (lambda ms: ms // 1000, lambda ms: str(ms // 1000), lambda ms: ms * 1000 + 7, lambda ms: ms * 1000000)


def other_unit(zone, name, days, unit):
    """One record is good; another one, some days younger, has a time of another unit."""
    person = zone.person()
    zone.customer(person)
    times = {"updated": person.updated + days * DAY, "research": 0, "registered": person.registered}
    if name == "research":
        times["research"] = person.consent
    zone.customer(person, **{**times, name: unit(times[name])})
    zone.live(person)


def other_unit_alone(zone, name, unit):
    person = zone.person()
    zone.customer(person, **{name: unit({"updated": person.updated, "research": person.consent, "registered": person.registered}[name])})
    zone.live(person)


def handed_over_in_seconds(zone):
    """Whose readings are older than the registration cannot be told by one of 1970."""
    giver, taker = zone.person(), zone.person()
    zone.customer(giver)
    zone.customer(giver, updated=giver.updated + DAY, serial=uuid_of(zone.rng))
    zone.customer(taker, serial=giver.serial, registered=taker.registered // 1000)
    zone.live(giver)
    zone.live(taker, serial=giver.serial)


def only_unreadable(zone):
    person = zone.person()
    zone.customer(person, registered="soon")
    zone.live(person)


def odd_consent(zone, value):
    person = zone.person()
    zone.customer(person, research=value(person.consent) if callable(value) else value)
    zone.live(person)


def odd_form(zone, change):
    """E-mails in another form, in customers and in readings."""
    person = zone.person()
    plain = person.email
    zone.customer(person, email=change(plain))
    for form in (plain, change(plain), plain.upper()):
        person.email = form
        zone.live(person, zone.times(person, 4))


def withdrawn_in_other_form(zone):
    person = zone.person()
    zone.customer(person)
    other = f" {person.email.upper()}\t"
    zone.customer(person, email=other, updated=person.updated + DAY, research=0)
    zone.live(person)


# What the same e-mail may be written as, though nobody sees that it is another text.
UNSEEN = (
    lambda email: f"\u00a0{email}\u2003\u3000",
    lambda email: f"\ufeff{email}",
    lambda email: "\u200b".join(email),
    lambda email: email.replace("@", "\u2060@\u00ad"),
    lambda email: email.replace(".", "\ufe0f.\u202c"),
    lambda email: email.translate({code: code + 0xFEE0 for code in range(ord("!"), ord("~"))}),
    lambda email: email.replace("i", "\u0130").replace("s", "\u017f").replace("k", "\u212a"),
    lambda email: f"\x01{email}\x7f\u0085",
)

# The same with a letter beyond ASCII before it: here and in the record.
LETTERS = (
    ("\u00e9", "\u00c9"), ("\u00e9", "e\u0301"), ("\u00e9", "E\u200d\u0301"), ("\u00df", "\u1e9e"), ("\u00df", "SS"),
    ("\u03c3\u03c2", "\u03a3\u03a3"), ("\u01c6", "\u01c5"), ("\u01c6", "dz\u030c"), ("\u0436", "\u0416"),
    ("\ud55c", "\u1112\u1161\u11ab"), ("\U00010428", "\U00010400"), ("a\u0323\u0302", "\u1ead"), ("\ufb01", "fi"),
    ("\u13a0", "\uab70"), ("\u2177", "viii"),
)


def unseen(zone, change):
    """A withdrawal under the same e-mail, as far as anybody sees; and readings under both."""
    person = zone.person()
    zone.customer(person)
    zone.customer(person, email=change(person.email), updated=person.updated + DAY, research=0)
    for email in (person.email, change(person.email)):
        for time in zone.times(person, 4):
            zone.move(email, time)


def letters(zone, one, other):
    """Consent under one spelling, and an older withdrawal under another."""
    person = zone.person()
    zone.customer(person, email=one + person.email)
    zone.customer(person, email=other + person.email, updated=person.updated - DAY, research=0)
    for email in (one + person.email, other + person.email):
        for time in zone.times(person, 4):
            zone.move(email, time)


def not_the_same(zone):
    """Characters that look alike are others: so are the customers."""
    person = zone.person()
    for letter in ("a", "\u0430", "\u03b1", "\u0131", "i", "\u00e4", "aa"):
        email = letter + person.email
        zone.customer(person, email=email, serial=uuid_of(zone.rng))
        for time in zone.times(person, 4):
            zone.move(email, time)


def no_email(zone, email):
    person = zone.person()
    zone.customer(person, email=email)
    zone.live(person)


def no_readings(zone):
    person = zone.person()
    zone.customer(person)
    for time in zone.times(person, 4):
        zone.step(person.serial, time)


def only_before(zone):
    """Curated under the rule 'granted' only."""
    person = zone.person()
    zone.customer(person)
    zone.live(person, [person.consent - 1, person.consent - DAY])


def shared(zone, **changes):
    """A device that two newest records hold."""
    first, second = zone.person(), zone.person()
    second.serial = first.serial
    zone.customer(first)
    zone.customer(second, **changes)
    zone.live(first)
    zone.live(second)


def shared_with_undated(zone):
    """Nor does it matter that one of them holds it by a record that puts them out."""
    first, second = zone.person(), zone.person()
    zone.customer(first)
    zone.customer(second, updated=FUTURE + DAY)
    zone.customer(second, updated=FUTURE, serial=first.serial)
    zone.live(first)
    zone.live(second)


def shared_with_unreadable(zone):
    first, second = zone.person(), zone.person()
    zone.customer(first)
    zone.customer(second)
    zone.customer(second, updated=second.updated + DAY, serial=first.serial, public="soon")
    zone.live(first)
    zone.live(second)


def handed_over(zone, **changes):
    """An older record gave the device to somebody else; changes are its new holder's."""
    before, after = zone.person(), zone.person()
    after.serial = before.serial
    zone.customer(before, updated=before.registered)
    zone.customer(before, serial=changes.pop("instead", uuid_of(zone.rng)))
    zone.customer(after, **changes)
    zone.live(before)
    zone.live(after)


def handed_over_unreadable(zone):
    """The older record is a reject, and older than a good one."""
    before, after = zone.person(), zone.person()
    zone.customer(before)
    zone.customer(before, updated=before.registered, serial=after.serial, friends=True)
    zone.customer(after)
    zone.live(before)
    zone.live(after)


def held_no_more(zone):
    person = zone.person()
    old = uuid_of(zone.rng)
    zone.customer(person, updated=person.registered, serial=old)
    zone.customer(person)
    zone.live(person)
    zone.live(person, serial=old)


def no_device(zone):
    for serial in (None, "", ...):
        person = zone.person()
        zone.customer(person, serial=serial)
        zone.live(person)


def serials_by_byte(zone):
    """Serial numbers are not e-mails: case and spaces tell them apart."""
    person = zone.person()
    for serial in (person.serial.upper(), person.serial + " ", " "):
        other = zone.person()
        zone.customer(other, serial=serial + ("" if serial.strip() else str(zone.n_people)))
        zone.live(other, serial=serial)
    zone.customer(person)
    zone.live(person)


def odd_text(zone, **changes):
    person = zone.person()
    zone.customer(person, **changes)
    zone.live(person)


def strangers(zone):
    """Readings that belong to nobody."""
    person = zone.person()
    zone.live(person)


def same_keys(zone, members):
    """Two keys of one column; {email} and the like stand for the person's."""
    person = zone.person()
    record = person.record()
    for member in members:
        place = zone.rng.randrange(len(record) + 1)
        record.insert(place, Member(member.format(**vars(person))))
    zone.customers.append(record)
    zone.live(person)


def spoiled(zone, member):
    """A record that is not JSON beside a good, older one; where it goes wrong is by chance."""
    person = zone.person()
    zone.customer(person)
    record = person.record(updated=person.updated + zone.rng.choice((-DAY, DAY)))
    record.insert(zone.rng.randrange(len(record) + 1), Member(member))
    zone.customers.append(record)
    zone.live(person)


def cut(zone, key, keep, newer):
    """A record that ends behind `keep` characters of a value, beside a good one."""
    person = zone.person()
    zone.customer(person)
    text = write_plain(person.record(updated=person.updated + newer * DAY))
    start = text.index(":", text.index(f'"{key}"')) + 2
    zone.customers.append(Line(text[: start + keep].encode()))
    zone.live(person)


def repeated(zone):
    """Exact duplicates, as the tables see them."""
    person = zone.person()
    zone.customer(person)
    zone.live(person)
    time = person.consent + 7
    spelt = (time, str(time), Raw(f"{time}.0"), Raw(scientific(time)))
    zeros = (0.0, Raw("-0.0"), Raw("-0"), 0, "0e5")
    ones = (1, 1.0, "1", Raw("1e0"), 1)
    nulls = (None, ..., None, ..., None)
    emails = (person.email, person.email.upper()) * 3
    for same in (zeros, ones, nulls):
        for value, stamp, email in zip(same, spelt * 2, emails):
            zone.move(email, stamp, x=value, y=0.25, z=same[0])
            zone.move(f"\t{email} ", time, x=value, y=value, z=value)
    for distance in (7, 7, Raw("7.0"), "7", Raw("70e-1"), None, ..., None):
        zone.step(person.serial, zone.rng.choice(spelt), distanceFromObject=distance)


def scientific(number):
    """Epoch milliseconds in the way of 1.655564376361e12."""
    digits = str(number)
    return f"{digits[0]}.{digits[1:]}e{len(digits) - 1}"


TIES = (
    ("serial", lambda person: "0" + person.serial),
    ("serial", lambda person: None),
    ("registered", lambda person: person.registered - DAY),
    ("registered", lambda person: ...),
    ("name", lambda person: person.name[0] + "\u00e9"),
    ("name", lambda person: ...),
    ("phone", lambda person: "~"),
    ("phone", lambda person: None),
    ("birthday", lambda person: "1899-12-31"),
    ("birthday", lambda person: None),
    ("public", lambda person: person.consent + 1),
    ("public", lambda person: ...),
    ("friends", lambda person: person.consent - 1),
    ("friends", lambda person: None),
)

ODD_CONSENTS = (
    0,
    -1_655_564_376_361,
    "",
    False,
    True,
    "yes",
    "NaN",
    FUTURE,
    1,
    str,
    lambda date: f"{date}.0",
    lambda date: Raw(f"{date}.0"),
    lambda date: Raw(scientific(date)),
    lambda date: Raw(f"{date}00e-2"),
    lambda date: Raw(f"{date}.5"),
    lambda date: f" {date}",
    lambda date: [date],
    lambda date: {"date": date},
    Raw("99999999999999999999"),
    TOO_LATE - 1,
    TOO_LATE,
)

# Members that no record may have.
NOT_JSON = (
    '"a": NaN',
    '"a": -Infinity',
    '"a": 01',
    '"a": +1',
    '"a": 1.',
    '"a": .5',
    '"a": -',
    '"a": 1e',
    '"a": tru',
    '"a": True',
    '"a": "\\x41"',
    '"a": "\\u12G4"',
    '"a": "tab\there"',
    '"a": "cr\rhere"',
    '"a" 1',
    '"a": 1 2',
    '"a": "b" "c"',
    '"a":',
    "a: 1",
    "",
    '"a": [1,]',
    '"a": {"b": 1,}',
    '"a": /* no */ 1',
)

SCENARIOS = (
    granted,
    granted,
    granted,
    refused,
    consent_in_newer,
    functools.partial(withdrawn, research=...),
    functools.partial(withdrawn, research=None),
    functools.partial(withdrawn, research=0),
    functools.partial(withdrawn, research=-5),
    given_again,
    tie_with_none,
    tie_with_none,
    tie_of_dates,
    tie_of_all,
    *(functools.partial(tie_of_rest, **{name: change}) for name, change in TIES),
    functools.partial(undated, updated=...),
    functools.partial(undated, updated=None),
    functools.partial(undated, updated=FUTURE),
    functools.partial(unreadable, lastUpdateDate="last week"),
    functools.partial(unreadable, lastUpdateDate=""),
    functools.partial(unreadable, lastUpdateDate=TOO_LATE),
    functools.partial(unreadable, lastUpdateDate=Raw("9223372036854775808")),
    functools.partial(unreadable, lastUpdateDate=..., registered=True),
    functools.partial(unreadable, newer=-1, phone={"home": 5}),
    functools.partial(unreadable, newer=-1, research="yes"),
    functools.partial(unreadable, newer=0, research="yes"),
    functools.partial(unreadable, newer=1, research="yes"),
    functools.partial(unreadable, newer=1, registered=TOO_LATE),
    functools.partial(unreadable, newer=1, friends="3000-01-01"),
    *(functools.partial(other_unit, name=name, days=days, unit=unit)
      for name in ("updated", "research", "registered") for days in (-2, 0, 2) for unit in UNITS),
    *(functools.partial(other_unit_alone, name=name, unit=unit) for name in ("updated", "research", "registered") for unit in UNITS),
    handed_over_in_seconds,
    functools.partial(unreadable, newer=1, name="zero\0"),
    functools.partial(unreadable, newer=1, birthday=["1970-01-01"]),
    only_unreadable,
    *(functools.partial(odd_consent, value=value) for value in ODD_CONSENTS),
    functools.partial(odd_form, change=str.upper),
    functools.partial(odd_form, change=str.title),
    functools.partial(odd_form, change="  {}".format),
    functools.partial(odd_form, change="\n\t{} \r".format),
    withdrawn_in_other_form,
    *(functools.partial(unseen, change=change) for change in UNSEEN),
    *(functools.partial(letters, one=one, other=other) for one, other in LETTERS),
    not_the_same,
    *(functools.partial(no_email, email=email) for email in (..., None, "", " \t ")),
    no_readings,
    only_before,
    shared,
    functools.partial(shared, research=...),
    functools.partial(shared, updated=FUTURE),
    shared_with_undated,
    shared_with_unreadable,
    handed_over,
    functools.partial(handed_over, instead=None),
    functools.partial(handed_over, registered=...),
    functools.partial(handed_over, registered=None),
    handed_over_unreadable,
    held_no_more,
    no_device,
    serials_by_byte,
    functools.partial(odd_text, name='"Back\\slash" / Tab\t 日本 \U0001f600 é', phone=5550001),
    functools.partial(odd_text, name="", phone=Raw("1.50e3")),
    functools.partial(odd_text, name=..., phone=None, birthday=None),
    functools.partial(odd_text, birthday="1399-01-01", registered=-1, public=..., friends=None),
    functools.partial(odd_text, birthday="987-01-01"),
    functools.partial(odd_text, birthday="1990-02-30"),
    functools.partial(odd_text, birthday="not said"),
    functools.partial(odd_text, birthday=""),
    strangers,
    functools.partial(same_keys, members=['"EMAIL": "{email}"', '"LastupDATEdate": {updated}']),
    functools.partial(same_keys, members=['"\\u0065mail": "{email}"']),
    functools.partial(same_keys, members=['"Email": "Other{email}"']),
    functools.partial(same_keys, members=['"email": null']),
    functools.partial(same_keys, members=['"sharewithresearchasofdate": 0']),
    functools.partial(same_keys, members=['"lastupdatedate": "{updated}"']),
    functools.partial(same_keys, members=['"SerialNumber": "other"']),
    functools.partial(same_keys, members=['"a": 1', '"a": 2', '"A": 3']),
    *(functools.partial(spoiled, member=member) for member in NOT_JSON),
    # cut off in a string, in a number, behind a number's last digit, behind a
    # colon; newer, older than the good record, or nobody's
    functools.partial(cut, key="shareWithResearchAsOfDate", keep=-9, newer=-1),
    functools.partial(cut, key="shareWithResearchAsOfDate", keep=-9, newer=1),
    functools.partial(cut, key="shareWithResearchAsOfDate", keep=5, newer=-1),
    functools.partial(cut, key="shareWithResearchAsOfDate", keep=5, newer=1),
    functools.partial(cut, key="lastUpdateDate", keep=5, newer=1),
    functools.partial(cut, key="lastUpdateDate", keep=13, newer=-1),
    functools.partial(cut, key="lastUpdateDate", keep=14, newer=-1),
    functools.partial(cut, key="registrationDate", keep=0, newer=1),
    functools.partial(cut, key="serialNumber", keep=8, newer=-1),
    functools.partial(cut, key="email", keep=9, newer=1),
    repeated,
    repeated,
)

# Readings that are wrong, or look it: changes to a good one.
READING_DIRT = (
    {"time": ...},
    {"time": None},
    {"time": "yesterday"},
    {"time": ""},
    {"time": True},
    {"time": TOO_LATE},
    {"time": -TOO_LATE},
    {"time": Raw("9223372036854775808")},
    {"time": Raw("1e400")},
    {"time": Raw("1655564376361.5")},
    {"time": "1655564376361 "},
    {"time": TOO_LATE - 1},
    {"time": 9_007_199_254_740_993},
    {"time": -62_135_596_800_001},
    {"time": 0},
    {"time": 1655564376},
    {"time": "1655564376"},
    {"time": 946684799},
    {"time": 4102444800},
    {"time": 1655564376361123},
    {"time": 1655564376361123456},
    {"who": ...},
    {"who": None},
    {"who": ""},
    {"who": 17},
    {"who": ["x"]},
    {"who": "nobody\0"},
    {"who": "nobody-knows@example.com"},
    {"who": Raw('"\\ud83d lone"')},
    {"what": "abc"},
    {"what": ""},
    {"what": False},
    {"what": {"deep": [1, {"er": None}]}},
    {"what": Raw("1e400")},
    {"what": Raw("2147483648")},
    {"what": "12"},
    {"what": " 12"},
    {"what": Raw("12.50")},
    {"what": Raw("1.2E+1")},
    {"what": Raw("-12")},
)

EXTRA = (
    ("note", "x"),
    ("nested", {"user": "no@example.com", "timestamp": 1, "list": [1, [2, {}], "}{", "]["]}),
    ("brace", 'a "}" \\ {'),
    ("e mail", "no@example.com"),
    ("deep", Raw("[" * 200 + "]" * 200)),
    ("big", Raw("-1" + "0" * 60 + ".5e-999")),
    ("\u00e9\U0001f600", "\U0001f600 \u2028"),
    ("empty", {}),
    ("emails", []),
    ("twice", 1),
    ("twice", 2),
)


def add_reading_dirt(zone):
    """Each of READING_DIRT twice, in both landing tables."""
    for number, changes in enumerate(READING_DIRT * 2):
        person = zone.people[number % len(zone.people)]
        time = changes.get("time", person.consent + 1)
        what = changes.get("what", 5)
        zone.move(changes.get("who", person.email), time, x=what)
        zone.step(changes.get("who", person.serial), time, distanceFromObject=what)


def add_broken_readings(zone):
    """Readings that are not JSON, cut off, or not UTF-8."""
    for number, member in enumerate(NOT_JSON * 2):
        person = zone.people[number % len(zone.people)]
        zone.move(person.email, person.consent + 2)
        zone.step(person.serial, person.consent + 2)
        for records in (zone.moves, zone.steps):
            whole = write_plain(records[-1])
            records[-1].insert(zone.rng.randrange(4), Member(member))
            records.append(Line(whole[: zone.rng.randrange(2, len(whole))].encode()))
    for person in zone.people[:5]:
        text = write_plain([("user", person.email + "?"), ("timestamp", person.consent)])
        zone.moves.append(text.encode().replace(b"?", b"\xff"))


def add_duplicates(zone):
    """Copies of readings, which chance puts into any object."""
    for records in (zone.moves, zone.steps):
        for record in zone.rng.sample(records, len(records) // 12):
            if isinstance(record, list):
                records.append(list(record))


# From records to bytes


def write_value(value, rng=None):
    """A value as JSON; with rng, its strings in other escapes."""
    if isinstance(value, Raw):
        return value
    text = json.dumps(value, ensure_ascii=rng is None or rng.random() < 0.3)
    if rng is not None and isinstance(value, str) and "\\" not in text and len(text) > 3:
        place = rng.randrange(1, len(text) - 1)
        if ord(text[place]) < 0x10000:
            other = rng.choice((f"\\u{ord(text[place]):04x}", f"\\u{ord(text[place]):04X}"))
            text = text[:place] + other + text[place + 1 :]
        text = text.replace("/", "\\/")
    return text


def write_members(record, rng=None):
    for pair in record:
        if isinstance(pair, Member):
            yield pair
        elif rng is None:
            yield f"{json.dumps(pair[0])}: {write_value(pair[1])}"
        else:
            space = rng.choice(("", " ", "  ", "\t"))
            escaping = rng if rng.random() < 0.3 else None
            key, value = (write_value(part, escaping) for part in pair)
            yield f"{key}{space}:{space}{value}"


def write_plain(record):
    return "{" + ", ".join(write_members(record)) + "}"


def write_odd(record, rng):
    """The same record in an odd dress: order and case of keys, spaces, escapes, more keys."""
    spoilt = any(isinstance(pair, Member) for pair in record)
    record = [
        pair if isinstance(pair, Member) else (recase(pair[0], rng), pair[1]) for pair in record
    ]
    for _ in range(rng.randrange(3)):
        record.insert(rng.randrange(len(record) + 1), rng.choice(EXTRA))
    if not spoilt and rng.random() < 0.5:
        rng.shuffle(record)
    comma = rng.choice((",", ", ", " , ", ",\r"))
    members = comma.join(write_members(record, rng))
    return rng.choice(("{", "{ ", "{\t")) + members + rng.choice(("}", " }"))


def recase(key, rng):
    return rng.choice((key, key, key.lower(), key.upper(), key.swapcase()))


def write_pretty(record, rng):
    """Over several lines; an object as a value may start in the first column."""
    indent = rng.choice(("", "  ", "\t"))
    members = list(write_members(record))
    if not any(isinstance(pair, Member) for pair in record):
        nested = ('"at":\n{\n"x": 1}', '"list": [\n{"x": "y"},\n{}]', '"z z": 0')
        members.insert(rng.randrange(len(members)), rng.choice(nested))
    end = rng.choice(("\n", "\r\n"))
    return "{" + end + f",{end}".join(indent + member for member in members) + end + "}"


def write(record, rng, pretty=False):
    if isinstance(record, bytes):
        return record
    if pretty:
        return write_pretty(record, rng).encode()
    return (write_plain(record) if rng.random() < 0.6 else write_odd(record, rng)).encode()


# name: before all, behind each record, behind all, written pretty?
STYLES = {
    "lines": ("", "\n", "", False),
    "crlf": ("", "\r\n", "", False),
    "blank lines": ("\n \n", "\n\n\t\n", "\n", False),
    "back to back": ("", "", "", False),
    "spaces": ("  ", "  ", "  ", False),
    "commas": ("", ",", "", False),
    "commas and lines": ("\n", ",\n", "", False),
    "commas first": ("", "\n,", "", False),
    "array": ("[", ",", "]", False),
    "array of lines": ("[\n", ",\n", "\n]\n", False),
    "array without commas": (" [", "\r\n", "]", False),
    "pretty": ("", "\n", "", True),
    "pretty array": ("[\n", ",\n", "]", True),
    "pretty back to back": ("", "", "", True),
    "bom": ("\ufeff", "\n", "", False),
    "bom array": ("\ufeff[", ",", "]", False),
    "bom each": ("\ufeff", "\n\ufeff", "", False),
    "bom each, together": ("\ufeff", "\ufeff", "\n", True),
    "open array": ("[\n", ",\n", "", False),
}

GARBAGE = (
    b"garbage",
    b"42",
    b'"a string"',
    b"null, true",
    b"}",
    b"]",
    b"}}]]",
    b"[[",
    b"# a comment {}",
    b", ,",
    b"<xml/>\r",
    b"\x00\xff\xfe",
    b"{'single': 1}",
    b"{}",
    b'{"other": "keys"}',
    b"\xef\xbb\xbf",
)


def frame(records, style, rng):
    """Records in one of STYLES."""
    before, behind, after, pretty = STYLES[style]
    out = [before.encode()]
    for record in records:
        if isinstance(record, Line):
            out += [b"\n", record, b"\n"]
        else:
            out += [write(record, rng, pretty), behind.encode()]
    return b"".join(out) + after.encode()


def frame_mixture(records, rng):
    """Several styles in one object, one after the other, with garbage between them."""
    out = []
    while records:
        n = rng.randrange(1, 8)
        out.append(frame(records[:n], rng.choice(list(STYLES)[:-1]), rng))
        records = records[n:]
        if rng.random() < 0.5:
            out.append(b"\n")
        if rng.random() < 0.5:
            out.append(b"\n" + rng.choice(GARBAGE) + b"\n")
    return b"".join(out)


def frame_garbage(records, rng):
    """Records, one a line, each kind of garbage among them, some on a record's line."""
    lines = [write(record, rng) for record in records]
    for garbage in GARBAGE:
        place = rng.randrange(len(lines) + 1)
        lines.insert(place, garbage)
        if lines[place - 1 : place] and rng.random() < 0.4:
            lines[place - 1] += b" " + garbage
    return b"\n".join(lines)


NAMES = (
    "part {}.json",
    "a+b {}",
    "100%25 {}.json",
    "Ünï/cödé {}.json",
    "2022-11-{}",
    "x/y/z={}/0.json",
)


class Folder:
    """The objects of one landing table."""

    def __init__(self, root, folder, rng):
        self.root = os.path.join(root, folder)
        self.rng = rng
        self.count = 0

    def add(self, data, key=None):
        """Write an object; its key is odd unless given."""
        if key is None:
            self.count += 1
            number = f"{self.rng.randrange(1000):03}-{self.count}"
            key = NAMES[self.count % len(NAMES)].format(number)
        path = os.path.join(self.root, key)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(data)


def compress_gzip(data, members=1):
    size = len(data) // members + 1
    parts = [data[pos : pos + size] for pos in range(0, len(data), size)] or [b""]
    return b"".join(gzip.compress(part, mtime=0) for part in parts)


def compress_zstd(data):
    return subprocess.run(["zstd", "-qc"], input=data, capture_output=True, check=True).stdout


# Where an object is cut off: the style of its records, what to look for, and
# how many bytes of that to keep.
CUTS = (
    ("lines", b'"', 1),
    ("lines", b": 1", 7),
    ("lines", b'": ', 2),
    ("array of lines", b'"', 1),
    ("array of lines", b": 1", 7),
    ("array of lines", b"},", 2),
    ("array of lines", b"}", 1),
)

EMPTY = (
    b"",
    b"\n \r\n\t",
    b"\xef\xbb\xbf",
    b"[]",
    b" [\n] [\t]\n",
    b"[",
    b"{",
    b"\xef\xbb",
    compress_gzip(b""),
    compress_gzip(b"[ ")[:5],
)

SKIPPED = ("_SUCCESS", ".hidden", "_temporary/0.json", ".x/y.json", "x/_part.json", "x/y/.z.json")


def write_cut(records, cut):
    """Records, cut off near the middle."""
    style, mark, keep = cut
    before, behind, _, _ = STYLES[style]
    whole = [write_plain(record) for record in records if isinstance(record, list)]
    data = (before + behind.join(whole * 2) + behind).encode()
    found = data.find(mark, len(data) // 2)
    return data[: found + keep]


def write_deep(records, rng):
    """A record nested too deeply, after which nothing is read."""
    deep = b'{"a": ' + b"[" * 300 + b"]" * 300 + b"}\n"
    return frame(records, "lines", rng) + deep + frame(records[:2], "lines", rng)


def write_folder(folder, records, rng):
    """Deal the records of one landing table out to objects of every kind."""
    rng.shuffle(records)
    special = len(CUTS) + 8
    size = max(4, len(records) // (2 * len(STYLES) + special))
    hands = [records[pos : pos + size] for pos in range(0, len(records), size)]
    hands += [[] for _ in range(special + len(STYLES) - len(hands))]

    for cut in CUTS:
        folder.add(write_cut(hands.pop(), cut))
    folder.add(frame_garbage(hands.pop(), rng))
    folder.add(frame_mixture(hands.pop(), rng))
    folder.add(frame_mixture(hands.pop(), rng))
    folder.add(write_deep(hands.pop(), rng))
    folder.add(compress_gzip(frame(hands.pop(), "lines", rng)))
    folder.add(compress_gzip(frame(hands.pop(), "commas", rng), members=3))
    packed = compress_gzip(frame(hands.pop(), "lines", rng))
    folder.add(packed[: len(packed) * 2 // 3])
    data = frame(hands.pop(), "pretty", rng)
    folder.add(compress_zstd(data) if shutil.which("zstd") else data)

    styles = list(STYLES)
    for number, hand in enumerate(hands):
        folder.add(frame(hand, styles[number % len(styles)], rng))
    for data in EMPTY:
        folder.add(data)


def write_dirt(args):
    """The zone with all the dirt."""
    zone = Zone(args)
    while zone.n_people < max(args.customers, 2):
        start = zone.n_people
        for scenario in SCENARIOS:
            scenario(zone)
        if start == 0:  # everything at least twice
            for scenario in SCENARIOS:
                scenario(zone)
    add_reading_dirt(zone)
    add_broken_readings(zone)
    add_duplicates(zone)

    decoy = [person.record(updated=person.updated + 9 * DAY, research=0) for person in zone.people]
    decoys = {
        "customers": decoy,
        "accelerometer": zone.moves[:20],
        "step_trainer": zone.steps[:20],
    }
    for name, records in (
        ("customers", zone.customers),
        ("accelerometer", zone.moves),
        ("step_trainer", zone.steps),
    ):
        unread = frame(decoys[name], "lines", zone.rng)
        folder = Folder(args.folder, name, zone.rng)
        write_folder(folder, records, zone.rng)
        for key in SKIPPED:
            folder.add(b"" if key == "_SUCCESS" else unread, key)
        Folder(args.folder, name + "_old", zone.rng).add(unread, "1.json")
        Folder(args.folder, "", zone.rng).add(unread, name + ".json")


def write_clean(args):
    """A tidy zone: one record a line, nothing twice, about half consenting."""
    zone = Zone(args)
    rng = zone.rng
    for number in range(args.customers):
        person = zone.person()
        consents = number % 2 == 0
        changes = {} if rng.random() < 0.3 else {"friends": ...}
        if rng.random() < 0.5:
            changes["public"] = ...
        zone.customer(person, **changes, **({} if consents else {"research": ...}))
        start = person.consent - rng.randrange(-20, 10) * DAY
        if args.gait:
            gait.walk(zone, person, start, args.gait)
            continue
        times = [start + HOUR * pos for pos in range(max(args.readings, args.steps))]
        for time in times[: args.readings]:
            zone.move(person.email, time)
        for time in times[: args.steps]:
            zone.step(person.serial, time)
    for name, records, size in (
        ("customers", zone.customers, 1000),
        ("accelerometer", zone.moves, 10000),
        ("step_trainer", zone.steps, 10000),
    ):
        folder = Folder(args.folder, name, rng)
        for number, pos in enumerate(range(0, len(records), size)):
            lines = [json.dumps(dict(record)) + "\n" for record in records[pos : pos + size]]
            folder.add("".join(lines).encode(), f"{name}-{number + 1:04}.json")
    if args.gait:
        with open(f"{os.path.normpath(args.folder)}.labels.csv", "w") as file:
            file.write("serialnumber,start,end,stepping\n")
            file.writelines("{},{},{},{}\n".format(*label) for label in zone.labels)


def parse_arguments(words=None):
    parser = argparse.ArgumentParser(description="Write a landing zone.")
    parser.add_argument("folder", metavar="OUT_DIR")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--customers", type=int, default=300)
    parser.add_argument("--readings", type=int, default=8, help="of each customer")
    parser.add_argument("--steps", type=int, default=6, help="of each customer")
    tidy = parser.add_mutually_exclusive_group()
    tidy.add_argument("--clean", action="store_true", help="without dirt")
    tidy.add_argument("--gait", type=int, metavar="SECONDS", help="of stepping and standing")
    parser.add_argument("--now", type=int, default=NOW, help="dates are before; epoch milliseconds")
    return parser.parse_args(words)


def main(words=None):
    args = parse_arguments(words)
    if args.clean or args.gait:
        write_clean(args)
    else:
        write_dirt(args)


if __name__ == "__main__":
    main()
