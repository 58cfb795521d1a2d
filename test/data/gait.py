"""What two sensors read of somebody who steps and stands in turn, and when they did which.

The wrist's accelerometer (x, y, z in g) and the step trainer (its distance from whoever
stands before it, in cm) read at the same milliseconds, RATE times a second; now and then
a reading is lost.  Who steps bobs and swings the arms, twice and once a stride, and comes
nearer or goes away, unless stepping on the spot.  Who stands sways, and may talk with
their hands, or have somebody pass before the sensor; so neither sensor alone tells all.
"""
import math

RATE = 25  # readings a second: several for each half of the quickest stride
TICK = 1000 // RATE  # milliseconds
LOST = 0.01  # of the readings of each sensor


class Walker:
    """How one person moves, at every session."""

    def __init__(self, rng):
        self.rng = rng
        self.cadence = rng.uniform(1.4, 2.2)  # steps a second
        self.bob = rng.uniform(0.05, 0.4)
        self.swing = rng.choice((0, rng.uniform(0.05, 0.35)))  # 0: holds on to a rail
        self.noise = rng.uniform(0.01, 0.05)
        self.speed = rng.uniform(20, 100)  # cm a second
        self.hands = rng.uniform(0.05, 0.4)
        self.down = direction(rng)
        self.forward = direction(rng)

    def session(self, start, seconds):
        """Bouts of stepping and standing, by turns: (start, end, stepping, readings).

        Times are epoch milliseconds; a reading is (time, (x, y, z), distance)."""
        time, end = start, start + seconds * 1000
        stepping = self.rng.random() < 0.5
        distance = self.rng.uniform(120, 280)
        while time < end:
            until = min(end, time + self.rng.randrange(4000, 15000) // TICK * TICK)
            bout = self.step if stepping else self.stand
            readings = list(bout(range(time, until, TICK), distance))
            distance = readings[-1][2]
            yield time, until, stepping, readings
            time, stepping = until, not stepping

    def step(self, times, distance):
        cadence = self.cadence * self.rng.uniform(0.9, 1.1)
        phase = self.rng.uniform(0, math.tau)
        speed = self.rng.choice((0, 1, 1)) * self.rng.choice((-1, 1)) * self.speed
        for time in times:
            angle = phase + math.tau * cadence * (time - times[0]) / 1000
            bob = self.bob * (math.cos(angle) + 0.3 * math.cos(2 * angle))
            if not 100 < distance + speed * TICK / 1000 < 300:
                speed = -speed
            distance += speed * TICK / 1000
            seen = distance + 2 * math.sin(angle)
            yield self.reading(time, 1 + bob, self.swing * math.sin(angle / 2), seen)

    def stand(self, times, distance):
        talks = self.rng.random() < 0.4
        passes = self.rng.choice(times) if self.rng.random() < 0.3 else None
        passing = self.rng.uniform(30, 90)
        hand, aim = 0, 0
        for time in times:
            if talks and self.rng.random() < 2 / RATE:
                aim = self.rng.gauss(0, self.hands)
            hand += 0.25 * (aim - hand)
            in_front = passes is not None and passes <= time < passes + 800
            yield self.reading(time, 1 + hand, hand / 2, passing if in_front else distance)

    def reading(self, time, along, across, distance):
        place = (
            round(along * down + across * forward + self.rng.gauss(0, self.noise), 3)
            for down, forward in zip(self.down, self.forward)
        )
        return time, tuple(place), round(distance + self.rng.gauss(0, 1))


def direction(rng):
    """A unit vector, any way."""
    vector = [rng.gauss(0, 1) for _ in "xyz"]
    length = math.hypot(*vector)
    return [part / length for part in vector]


def walk(zone, person, start, seconds):
    """One session of a person's, into the records and labels of the zone."""
    walker = Walker(zone.rng)
    for begun, ended, stepping, readings in walker.session(start, seconds):
        zone.labels.append((person.serial, begun, ended, int(stepping)))
        for time, (x, y, z), distance in readings:
            if zone.rng.random() >= LOST:
                zone.move(person.email, time, x=x, y=y, z=z)
            if zone.rng.random() >= LOST:
                zone.step(person.serial, time, distanceFromObject=distance)
