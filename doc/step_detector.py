#!/usr/bin/python3
"""Train a step detector on machine_learning_curated, and say what it is worth.

    step_detector.py CONNECTION LABELS.csv PLOT.png

A window of two seconds goes in, whether its device's holder steps comes out.  It is
trained and scored by device: of whom it is scored on, it has seen nothing.  The score is
the mean of how many of the windows with steps and how many of those without are told
right, so that chance has 0.5, and the same with labels that are shuffled shows that it does.

LABELS.csv has intervals: serialnumber, start, end (epoch milliseconds), stepping (1 or 0).
"""
import sys

import frames
import numpy as np
import pandas as pd
import psycopg
from matplotlib.figure import Figure
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, cross_val_predict, permutation_test_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

WINDOW = pd.Timedelta("2s")
RATE = 25  # readings a second
FEATURES = ["vigour", "rhythm", "drift", "way", "jump"]
SHUFFLES = 50

# Clocks of devices have been wrong, and pandas has no times for some of what they say.
READINGS = """
    SELECT serialnumber, sensorreadingtime, distancefromobject, x, y, z
    FROM project.machine_learning_curated
    WHERE sensorreadingtime BETWEEN '2000-01-01' AND now()"""
IN_ORDER = READINGS + " ORDER BY serialnumber, sensorreadingtime"
OF_ONE = READINGS + " AND serialnumber = %s ORDER BY sensorreadingtime LIMIT 1500"


def begin(connection):
    """Have all that follows see the table at one moment, whatever runs meanwhile."""
    connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    connection.read_only = True
    # Before that moment comes: else a full_refresh could come between it and the rows.
    connection.execute("LOCK TABLE project.machine_learning_curated IN ACCESS SHARE MODE")


def consent_state(connection):
    """The number and the hash of the last change of anybody's consent: keep them with the model."""
    return connection.execute("SELECT entry, head FROM project.consent_state").fetchone()


def read_labels(file):
    labels = pd.read_csv(file)
    for side in ("start", "end"):
        labels[side] = pd.to_datetime(labels[side], unit="ms", utc=True)
    return labels


def prepare(readings):
    """What windows are made of, a row a reading; readings that lack something are left out."""
    readings = readings.dropna()
    start = readings.sensorreadingtime.dt.floor(WINDOW)
    return pd.DataFrame(
        {
            "serialnumber": readings.serialnumber,
            "start": start,
            "second": (readings.sensorreadingtime - start).dt.total_seconds(),
            "force": np.sqrt(readings.x**2 + readings.y**2 + readings.z**2),
            "distance": readings.distancefromobject.astype(float),
        }
    )


def windows(chunks):
    """The readings of each window, one after the other, wherever the chunks of them end."""
    last = None
    for chunk in chunks:
        readings = pd.concat([last, prepare(chunk)])
        found = [window for _, window in readings.groupby(["serialnumber", "start"], sort=False)]
        yield from found[:-1]
        last = found[-1] if found else None
    if last is not None:
        yield last


def features(window):
    """What tells steps: how hard, in what rhythm, and how much nearer or farther."""
    even = np.arange(0, WINDOW.total_seconds(), 1 / RATE)
    second = window.second.to_numpy()
    force = np.interp(even, second, window.force.to_numpy())
    distance = np.interp(even, second, window.distance.to_numpy())
    hertz = np.fft.rfftfreq(len(even), 1 / RATE)
    power = np.abs(np.fft.rfft(force - force.mean())) ** 2
    share = power / (power.sum() + 1e-9)
    return {
        "vigour": np.log(force.std() + 1e-3),
        "rhythm": share[(1 <= hertz) & (hertz <= 5)].sum(),
        "drift": share[hertz < 1].sum(),
        "way": np.log1p(abs(np.polyfit(even, distance, 1)[0])),
        "jump": np.log1p(np.abs(np.diff(distance)).max()),
    }


def labelled_windows(chunks, labels):
    """A row a window: serialnumber, start, FEATURES, and by its middle, stepping or not."""
    enough = 0.8 * WINDOW.total_seconds() * RATE
    rows = [
        {"serialnumber": window.serialnumber.iloc[0], "start": window.start.iloc[0]}
        | features(window)
        for window in windows(chunks)
        if len(window) >= enough
    ]
    table = pd.DataFrame(rows, columns=["serialnumber", "start", *FEATURES])
    table["middle"] = table.start + WINDOW / 2
    table = pd.merge_asof(
        table.sort_values("middle"),
        labels.rename(columns={"start": "since"}).sort_values("since"),
        by="serialnumber",
        left_on="middle",
        right_on="since",
    )
    return table[table.middle < table.end].reset_index(drop=True)


def folds(table):
    """Five ways to part the windows for training and scoring, no person's in both."""
    return list(GroupKFold(5).split(table, groups=table.serialnumber))


def model():
    return make_pipeline(StandardScaler(), LogisticRegression())


def score(table):
    """The score, and scores with each person's labels shuffled."""
    found, shuffled, _ = permutation_test_score(
        model(),
        table[FEATURES],
        table.stepping,
        groups=table.serialnumber,
        cv=folds(table),
        scoring="balanced_accuracy",
        n_permutations=SHUFFLES,
        random_state=1,
    )
    return found, shuffled


def predict(table):
    """Of each window, what a model says that has seen nothing of the person."""
    return cross_val_predict(model(), table[FEATURES], table.stepping, cv=folds(table))


def draw(readings, table, found, shuffled):
    """Some of one person's readings, what was said of them, and the scores."""

    def second(times):
        return (times - readings.sensorreadingtime.iloc[0]).dt.total_seconds()

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    axes = figure.subplot_mosaic("AAAC;BBBC")
    time = second(readings.sensorreadingtime)
    force = np.sqrt(readings.x**2 + readings.y**2 + readings.z**2)
    axes["A"].plot(time, force, color="black", lw=0.7)
    axes["A"].set(ylabel="force (g)", xticklabels=[])
    axes["B"].plot(time, readings.distancefromobject, color="black", lw=0.7)
    axes["B"].set(ylabel="distance (cm)", xlabel="seconds of somebody whom it was not trained on")
    shown = table[table.serialnumber == readings.serialnumber.iloc[0]]
    for start, stepping, said in zip(second(shown.start), shown.stepping, shown.said):
        end = start + WINDOW.total_seconds()
        for axis in axes["A"], axes["B"]:
            axis.set_xlim(0, time.iloc[-1])
            if said:
                axis.axvspan(start, end, color="tab:blue", alpha=0.3, lw=0)
            if said != stepping:
                axis.axvspan(start, end, 0, 0.08, color="tab:red", lw=0)
    axes["A"].set_title("blue: found to be steps; red below: wrongly so, or missed", fontsize=10)
    axes["C"].hist(shuffled, color="tab:gray", label="labels shuffled")
    axes["C"].axvline(found, color="tab:blue", label="labels as they are")
    axes["C"].set(xlim=(0.4, 1), xlabel="score", yticks=[])
    axes["C"].legend(loc="lower center", bbox_to_anchor=(0.5, 1), fontsize=9)
    return figure


def main(conninfo, labels, plot):
    with psycopg.connect(conninfo) as connection:
        begin(connection)
        entry, head = consent_state(connection)
        table = labelled_windows(frames.by_copy(connection, IN_ORDER), read_labels(labels))
        [readings] = frames.by_cursor(connection, OF_ONE, [table.serialnumber.iloc[0]])
    found, shuffled = score(table)
    table["said"] = predict(table)
    draw(readings, table, found, shuffled).savefig(plot, dpi=80)
    print(f"consent     as of entry {entry} of the history, head {head}")
    print(f"windows     {len(table)} of {table.serialnumber.nunique()} people")
    print(f"score       {found:.3f}")
    print(f"shuffled    {shuffled.mean():.3f}, at most {shuffled.max():.3f}, {SHUFFLES} times")
    print(f"plot        {plot}")


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
