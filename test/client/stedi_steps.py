"""A small landing zone that changes: its objects, its people, and the kinds of change.

Proves nothing by itself; test_incremental takes these steps at random.  There
are few people, devices and times, so that ties, duplicates, shared devices and
readings at one time are the rule; in some zones there is a crowd.  The records are well-formed objects of JSON,
but for some that are rejected; an object may end inside its last one.
"""
import contextlib
import gzip
import json
import os
import random
import time
import unicodedata

FOLDERS = {
    "customers": "customer",
    "accelerometer": "accelerometer",
    "step_trainer": "step_trainer",
}

# Where some of a folder's objects are.
SUBFOLDER = "2024/05"

# Readings, consents and registrations are of these times; updates come later.
START = 1_700_000_000_000
HOUR = 3_600_000
TIMES = [START + number * HOUR for number in range(6)]
FIRST_UPDATE = START + 100 * HOUR
LAST_UPDATE = FIRST_UPDATE + 10_000 * HOUR

# People of a zone, from and up to, and records of its objects, so many times.
FEW = (6, 12, 1)
CROWD = (120, 150, 25)

# Milliseconds until a date in the near future has come.
SOON = 1500

# One is none in PostgreSQL's calendar.
BIRTHDAYS = ("1970-01-01", "1970-01-01", "1971-02-30", "1972-03-04", None)

# What an object has before, between and behind its records.
STYLES = {
    "lines": ("", "\n", "\n"),
    "together": ("", "", ""),
    "commas": ("", ", ", ""),
    "array": ("[\n", ",\n", "\n]\n"),
}


class NotNow(Exception):
    """The state is such that this step cannot be taken."""


# The names of the methods that change the landing zone, or what is told of it.
CHANGES = []


def change(method):
    """A method that makes one change, and says in a line which."""
    CHANGES.append(method.__name__)
    return method


class Object:
    """A landing object: records as text, and perhaps the beginning of one more."""

    def __init__(self, records, style="lines", packed=False):
        self.records = records
        self.style = style
        self.packed = packed
        self.rest = None

    def cut(self, number, length):
        """Let it end inside a record."""
        self.rest = self.records[number][:length]
        self.records = self.records[:number]
        self.packed = False

    def places(self):
        """(place, text, whole) of each record, and of the reject at the end."""
        before, between, _ = STYLES[self.style]
        place = len(before)
        for text in self.records:
            yield place, text, True
            place += len(text) + len(between)
        if self.rest is not None:
            yield place, self.rest, False

    def data(self):
        before, between, behind = STYLES[self.style]
        texts = list(self.records)
        if self.rest is not None:
            texts.append(self.rest)
            behind = ""
        if not texts:
            return b""
        data = (before + between.join(texts) + behind).encode()
        return gzip.compress(data, mtime=0) if self.packed else data


class Person:
    """Somebody whom records are about, as their newest record has them."""

    def __init__(self, number, serial):
        # of some, two letters that can be spelled in many ways
        self.email = f"p{number}\u00e9\u00df@example.org" if number % 3 == 1 else f"p{number}@example.org"
        self.name = f"Person {number}"
        self.serial = serial
        self.registered = TIMES[0]
        self.updated = FIRST_UPDATE
        self.research = 0

    def next_update(self):
        """Go on to a later date than any before; if that is in the future, not by much."""
        self.updated += HOUR if self.updated < LAST_UPDATE else 1


class Zone:
    """The objects of a landing zone, in memory and in a folder."""

    def __init__(self, folder, rng):
        self.folder = folder
        self.rng = rng
        self.objects = {}
        self.removed = {}
        self.n_made = 0
        self.prefixes = {name: name for name in FOLDERS}  # of the landing tables
        for name in FOLDERS:
            (folder / name / SUBFOLDER).mkdir(parents=True)

    def keys(self, folder=None):
        return sorted(key for key in self.objects if folder in (None, folder_of(key)))

    def landed(self):
        """The keys that are under the landing tables' prefixes."""
        return {key for key in self.objects if key.startswith(f"{self.prefixes[folder_of(key)]}/")}

    def new_key(self, folder):
        """A key before, between or behind those that are there."""
        self.n_made += 1
        below = self.rng.choice(["", "", f"/{SUBFOLDER}"])
        return f"{folder}{below}/{self.rng.randrange(100):02}-{self.n_made}"

    def style(self):
        return self.rng.choice(list(STYLES))

    def text(self, record):
        return json.dumps(record, separators=self.rng.choice([(", ", ": "), (",", ":")]))

    def add(self, folder, records):
        """A new object; gives its key."""
        key = self.new_key(folder)
        texts = [self.text(record) for record in records]
        self.write(key, Object(texts, self.style(), packed=self.rng.random() < 0.1))
        return key

    def write(self, key, item):
        """Write an object, in place or as a new file of its name."""
        self.objects[key] = item
        path = self.folder / key
        if self.rng.random() < 0.5:
            path.write_bytes(item.data())
        else:
            fresh = self.folder / "fresh"
            fresh.write_bytes(item.data())
            os.replace(fresh, path)

    def remove(self, key):
        self.removed[key] = self.objects.pop(key)
        (self.folder / key).unlink()

    def records(self):
        """(object, place, kind, text, whole) of each record and reject."""
        return [
            (key, place, FOLDERS[folder_of(key)], text, whole)
            for key in self.landed()
            for place, text, whole in self.objects[key].places()
        ]


def folder_of(key):
    return key.split("/")[0]


def without(record, name):
    return {key: value for key, value in record.items() if key != name}


def now_ms():
    return time.time_ns() // 1_000_000


class Steps:
    """The state of a landing zone, and the changes that it can undergo.

    Whatever is chosen is chosen by rng, so that a seed gives the same steps
    again; only what comes into force soon goes by the clock.
    """

    def __init__(self, folder, rng, crowd=False):
        self.rng = rng
        self.zone = Zone(folder, rng)
        self.n_serials = 0
        least, most, self.times = CROWD if crowd else FEW
        self.people = [
            Person(number, self.new_serial()) for number in range(rng.randint(least, most))
        ]
        self.strangers = self.people[-2:]  # who have readings before they have records
        self.due = None  # when the last date in the near future will have come
        self.fill()

    def fill(self):
        """The zone at the beginning."""
        for person in self.people:
            person.registered = self.rng.choice(TIMES)
            person.research = self.rng.choice([0, *TIMES[:4]])
        known = self.people[:-2]
        customers = [self.record(person) for person in known]
        customers += [self.older(self.rng.choice(known)) for _ in range(4)]
        self.rng.shuffle(customers)
        for start in range(4):
            self.zone.add("customers", customers[start::4])
            self.zone.add("accelerometer", [self.move() for _ in range(8 * self.times)])
            self.zone.add("step_trainer", [self.step() for _ in range(7 * self.times)])

    # Records.

    def new_serial(self):
        self.n_serials += 1
        return self.serial(self.n_serials)

    def serial(self, number):
        """A device's serial number; that of some can be written as a number, too."""
        return str(number) if number % 4 == 0 else f"S-{number}"

    def any_serial(self):
        return self.rng.choice(self.people).serial

    def spell_serial(self, serial):
        if serial and serial.isdigit() and self.rng.random() < 0.5:
            return int(serial)
        return serial

    def spell(self, email, probability=0.3):
        """An e-mail, sometimes in another spelling of the same."""
        others = [
            email.upper(),
            email.title(),
            f"  {email}",
            f"{email}\t",
            f" {email.upper()} ",
            unicodedata.normalize("NFD", email),
            f"\u00a0{email}\u3000",
            f"\ufeff{email.upper()}",
            "\u200b".join(email),
            email.replace("@", "\uff20").replace("p", "\u00adP\ufe0f"),
        ]
        return self.rng.choice(others) if self.rng.random() < probability else email

    def record(self, person, **changes):
        """A customer record of a person as they are now, but for changes."""
        record = {
            "customerName": person.name,
            "email": self.spell(person.email),
            "phone": "8015551212",
            "birthDay": self.rng.choice(BIRTHDAYS),
            "serialNumber": self.spell_serial(person.serial),
            "registrationDate": person.registered,
            "lastUpdateDate": person.updated,
            "shareWithResearchAsOfDate": person.research,
            "shareWithPublicAsOfDate": self.rng.choice(TIMES[:2]),
        }
        return record | changes

    def older(self, person):
        """A record of other content, that is older than a person's newest, or of its date."""
        return self.record(
            person,
            lastUpdateDate=person.updated - self.rng.choice([0, 1, HOUR, 3 * HOUR]),
            shareWithResearchAsOfDate=self.rng.choice([0, None, *TIMES]),
            serialNumber=self.rng.choice([person.serial, self.any_serial(), None]),
            registrationDate=self.rng.choice([None, *TIMES]),
        )

    def update(self, person, **changes):
        """A new record of a person; sometimes of the date of the one before."""
        if self.rng.random() > 0.15:
            person.next_update()
        return self.record(person, **changes)

    def move(self, person=None):
        """An accelerometer reading."""
        record = {
            "timeStamp": self.rng.choice(TIMES),
            "user": self.spell((person or self.rng.choice(self.people)).email, 0.2),
            "x": self.rng.choice([0, -0.0, 1, "1"]),
            "y": self.rng.choice([0.25, 0.25, None]),
            "z": 1,
        }
        return without(record, "z") if self.rng.random() < 0.1 else record

    def step(self, person=None):
        """A step trainer reading, sometimes of a device that was somebody's once."""
        serial = (person or self.rng.choice(self.people)).serial
        if serial is None or (person is None and self.rng.random() < 0.2):
            serial = self.serial(self.rng.randint(1, self.n_serials))
        return {
            "sensorReadingTime": self.rng.choice(TIMES),
            "serialNumber": self.spell_serial(serial),
            "distanceFromObject": self.rng.choice([1, 2, "2", 2.0]),
        }

    def any_record(self, folder):
        if folder == "accelerometer":
            return self.move()
        if folder == "step_trainer":
            return self.step()
        return self.older(self.rng.choice(self.people))

    def readings(self, person):
        """New objects with readings of both kinds."""
        self.zone.add("accelerometer", [self.move(person) for _ in range(3)])
        self.zone.add("step_trainer", [self.step(person) for _ in range(3)])

    def customers(self, *records):
        """New customer records, in a new object or in one that is there; gives its key."""
        keys = [key for key in self.zone.keys("customers") if self.zone.objects[key].rest is None]
        if not keys or self.rng.random() < 0.7:
            return self.zone.add("customers", records)
        key = self.rng.choice(keys)
        item = self.zone.objects[key]
        item.records += map(self.zone.text, records)
        self.zone.write(key, item)
        return key

    def pick(self, choice):
        """One of several, or else this step cannot be taken."""
        choice = list(choice)
        if not choice:
            raise NotNow
        return self.rng.choice(choice)

    # Objects come, change and go.

    def put(self, folder):
        n = self.rng.randrange(1, 5) * self.times
        return self.zone.add(folder, [self.any_record(folder) for _ in range(n)])

    @change
    def put_customers(self):
        return self.put("customers")

    @change
    def put_accelerometer(self):
        return self.put("accelerometer")

    @change
    def put_step_trainer(self):
        return self.put("step_trainer")

    @change
    def overwrite(self):
        key = self.pick(self.zone.keys())
        folder = folder_of(key)
        kept = [text for text in self.zone.objects[key].records if self.rng.random() < 0.6]
        fresh = [self.zone.text(self.any_record(folder)) for _ in range(self.rng.randrange(3))]
        self.zone.write(key, Object(kept + fresh, self.zone.style()))
        return key

    @change
    def delete(self):
        key = self.pick(self.zone.keys())
        self.zone.remove(key)
        return key

    @change
    def delete_most(self):
        """More than half of a table's objects go; a few come, or it would soon be empty."""
        folder = self.rng.choice(list(FOLDERS))
        keys = self.zone.keys(folder)
        gone = self.rng.sample(keys, min(len(keys), len(keys) * 2 // 3 + 1))
        for key in gone:
            self.zone.remove(key)
        for _ in range(self.rng.randrange(4)):
            self.put(folder)
        return f"{folder}: {', '.join(gone)}"

    @change
    def put_back(self):
        key = self.pick(self.zone.removed)
        self.zone.write(key, self.zone.removed.pop(key))
        return key

    @change
    def touch(self):
        """The same content, but another ETag."""
        key = self.pick(self.zone.keys())
        self.zone.write(key, self.zone.objects[key])
        return key

    @change
    def change_of_same_size(self):
        """One time is another, of as many digits."""
        time, other = map(str, self.rng.sample(TIMES, 2))
        choice = [
            (key, number)
            for key, item in self.zone.objects.items()
            for number, text in enumerate(item.records)
            if time in text
        ]
        key, number = self.pick(choice)
        item = self.zone.objects[key]
        item.records[number] = item.records[number].replace(time, other)
        self.zone.write(key, item)
        return f"{key}, record {number}"

    @change
    def rename(self):
        key = self.pick(self.zone.keys())
        self.zone.remove(key)
        fresh = self.zone.new_key(folder_of(key))
        self.zone.write(fresh, self.zone.removed.pop(key))
        return f"{key} to {fresh}"

    @change
    def duplicate(self):
        """Records of one object in another one, too."""
        key = self.pick(self.zone.keys())
        records = [json.loads(text) for text in self.zone.objects[key].records]
        some = self.rng.sample(records, (len(records) + 1) // 2)
        return f"{key} as {self.zone.add(folder_of(key), some)}"

    @change
    def truncate_to_nothing(self):
        key = self.pick(self.zone.keys())
        self.zone.write(key, Object([]))
        return key

    @change
    def truncate_in_a_record(self):
        key = self.pick(key for key, item in self.zone.objects.items() if item.records)
        item = self.zone.objects[key]
        number = self.rng.randrange(len(item.records))
        length = self.rng.randrange(1, len(item.records[number]))
        item.cut(number, length)
        self.zone.write(key, item)
        return f"{key}, record {number}, {length} bytes of it"

    # Customers and their consent.

    @change
    def late_older_record(self):
        person = self.rng.choice(self.people)
        return f"{person.email} in {self.customers(self.older(person))}"

    @change
    def record_of_same_date(self):
        """What decides between it and the newest one is in no column of a table."""
        person = self.pick(person for person in self.people if person.research)
        record = self.record(person, birthDay=self.rng.choice(BIRTHDAYS[2:]))
        return f"{person.email} in {self.customers(record)}"

    @change
    def consent_given(self):
        person = self.pick(person for person in self.people if not person.research)
        person.research = self.rng.choice(TIMES)
        return f"{person.email} in {self.customers(self.update(person))}"

    def move_consent(self, may_become):
        """Another date of consent, of those that the present one may become."""
        choice = [
            (person, time)
            for person in self.people
            for time in TIMES
            if person.research and may_become(person.research, time)
        ]
        person, person.research = self.pick(choice)
        return f"{person.email} in {self.customers(self.update(person))}"

    @change
    def consent_earlier(self):
        return self.move_consent(lambda old, new: new < old)

    @change
    def consent_later(self):
        return self.move_consent(lambda old, new: new > old)

    @change
    def consent_withdrawn(self):
        person = self.pick(person for person in self.people if person.research)
        person.research = self.rng.choice([0, 0, None])
        return f"{person.email} in {self.customers(self.update(person))}"

    @change
    def consent_from_soon_on(self):
        person = self.rng.choice(self.people)
        person.research = self.due = now_ms() + SOON
        return f"{person.email} in {self.customers(self.update(person))}"

    @change
    def updated_soon(self):
        person = self.rng.choice(self.people)
        person.updated = self.due = now_ms() + SOON
        person.research = self.rng.choice([0, *TIMES])
        return f"{person.email} in {self.customers(self.record(person))}"

    @change
    def spelled_otherwise(self):
        person = self.rng.choice(self.people)
        email = self.spell(person.email, 1)
        self.zone.add("accelerometer", [self.move(person) | {"user": email} for _ in range(2)])
        return f"{email!r} in {self.customers(self.update(person, email=email))}"

    @change
    def newcomer(self):
        person = Person(len(self.people), self.new_serial())
        self.people.append(person)
        person.registered = self.rng.choice(TIMES)
        person.research = self.rng.choice(TIMES)
        self.readings(person)
        return f"{person.email} in {self.customers(self.record(person))}"

    @change
    def stranger_comes_in(self):
        person = self.pick(self.strangers)
        self.strangers.remove(person)
        person.research = self.rng.choice(TIMES)
        return f"{person.email} in {self.customers(self.update(person))}"

    @change
    def customer_lost(self):
        """All customer records of a person go, out of whatever objects they are in."""
        person = self.rng.choice(self.people)
        done = self.take_out("customers", f"{person.email}")
        return f"{person.email} in {done}"

    def take_out(self, folder, word):
        """Rewrite a folder's objects without the records that have a word; gives their keys."""
        done = []
        for key in self.zone.keys(folder):
            item = self.zone.objects[key]
            kept = [text for text in item.records if word not in text.lower()]
            if len(kept) < len(item.records):
                item.records = kept
                self.zone.write(key, item)
                done.append(key)
        if not done:
            raise NotNow
        return ", ".join(done)

    @change
    def more_readings(self):
        person = self.rng.choice(self.people)
        self.readings(person)
        return person.email

    # Devices.

    @change
    def device_handed_over(self):
        giver, taker = self.rng.sample(self.people, 2)
        taker.serial, giver.serial = giver.serial, self.new_serial()
        taker.registered = self.rng.choice([None, *TIMES, *TIMES])
        key = self.customers(self.update(taker), self.update(giver))
        return f"{giver.email} to {taker.email} in {key}"

    @change
    def device_shared(self):
        one, two = self.rng.sample(self.people, 2)
        two.serial = one.serial
        return f"{one.email} with {two.email} in {self.customers(self.update(two))}"

    @change
    def device_changed(self):
        person = self.rng.choice(self.people)
        person.serial = self.rng.choice([self.new_serial(), None])
        self.readings(person)
        return f"{person.email} in {self.customers(self.update(person))}"

    # Records that are rejected, or that put their customer out.

    @change
    def unreadable_update(self):
        person = self.rng.choice(self.people)
        record = self.record(person, lastUpdateDate="soon")
        return f"{person.email} in {self.customers(record)}"

    @change
    def reject_with_a_date(self):
        person = self.pick(person for person in self.people if person.research)
        record = self.record(
            person,
            registrationDate="soon",
            lastUpdateDate=person.updated + self.rng.choice([-HOUR, 0, 0, HOUR]),
            serialNumber=self.any_serial(),
        )
        return f"{person.email} in {self.customers(record)}"

    @change
    def update_of_another_unit(self):
        """A time that can only be of seconds or microseconds, of a date before or after the newest."""
        person = self.rng.choice(self.people)
        unit = self.rng.choice([lambda ms: ms // 1000, lambda ms: str(ms // 1000), lambda ms: ms * 1000])
        name = self.rng.choice(["lastUpdateDate", "lastUpdateDate", "registrationDate", "shareWithResearchAsOfDate"])
        record = self.record(
            person,
            lastUpdateDate=person.updated + self.rng.choice([-HOUR, -1000, -1, 0, 1, HOUR]),
            shareWithResearchAsOfDate=self.rng.choice([0, TIMES[1]]),
        )
        if record[name]:
            record[name] = unit(record[name])
        return f"{name} of {person.email} in {self.customers(record)}"

    @change
    def readings_of_another_unit(self):
        person = self.rng.choice(self.people)
        moves, steps = [self.move(person) for _ in range(2)], [self.step(person) for _ in range(2)]
        moves[0]["timeStamp"] //= 1000
        steps[0]["sensorReadingTime"] *= 1000
        return f"{self.zone.add('accelerometer', moves)}, {self.zone.add('step_trainer', steps)}"

    @change
    def update_without_date(self):
        person = self.rng.choice(self.people)
        record = self.record(person, lastUpdateDate=None)
        return f"{person.email} in {self.customers(record)}"

    @change
    def customer_without_email(self):
        record = self.record(self.rng.choice(self.people))
        return self.customers(self.rng.choice([without(record, "email"), record | {"email": " "}]))

    @change
    def reading_without_time(self):
        moves = [self.move(), without(self.move(), "timeStamp")]
        steps = [self.step(), without(self.step(), "sensorReadingTime")]
        return f"{self.zone.add('accelerometer', moves)}, {self.zone.add('step_trainer', steps)}"

    @change
    def mended(self):
        """What was cut off is so no longer; rejected customer records are gone."""
        done = []
        for key in self.zone.keys():
            item = self.zone.objects[key]
            if item.rest is not None:
                item.rest = None
                self.zone.write(key, item)
                done.append(key)
        with contextlib.suppress(NotNow):
            done.append(self.take_out("customers", '"soon"'))
        if not done:
            raise NotNow
        return ", ".join(done)
