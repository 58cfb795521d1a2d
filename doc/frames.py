"""The rows of a query as pandas DataFrames, so many at a time: memory is bounded, whatever
their number.

    for frame in frames.by_copy(connection, "SELECT * FROM project.machine_learning_curated"):
        ...

by_copy decodes COPY's binary stream a column at a time: int4 and int8 become pandas'
Int32 and Int64, which have a missing value, float8 becomes float64, timestamptz
datetime64[ns, UTC], text str.  by_cursor fetches from a server-side cursor: whatever types
psycopg knows, some three times slower.  Both give the rows of one snapshot, in the query's
order.  The connection is psycopg 3's.
"""
import itertools
import sys

import numpy as np
import pandas as pd

ROWS = 20_000  # of a frame: a few megabytes

# https://www.postgresql.org/docs/current/sql-copy.html, "Binary Format": a message has one
# row, the first of them behind the header, which has no extension
HEADER = 11 + 4 + 4
TRAILER = b"\xff\xff"


def by_copy(connection, query, params=(), rows=ROWS):
    """DataFrames of up to so many rows of the query."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT * FROM ({query}) AS q LIMIT 0", params)
        columns = [(column.name, known(column)) for column in cursor.description]
        with cursor.copy(f"COPY ({query}) TO STDOUT (FORMAT binary)", params) as copy:
            messages = rows_of(copy)
            while chunk := list(itertools.islice(messages, rows)):
                yield decode(chunk, columns, connection.info.encoding)


def by_cursor(connection, query, params=(), rows=ROWS):
    """The same from a cursor of the server's; pandas takes its types from the values."""
    with connection.cursor("frames", binary=True) as cursor:
        cursor.execute(query, params)
        names = [column.name for column in cursor.description]
        while chunk := cursor.fetchmany(rows):
            yield pd.DataFrame(chunk, columns=names)


def rows_of(copy):
    for number, message in enumerate(copy):
        row = message if number else message[HEADER:]
        if row != TRAILER:
            yield row


def decode(rows, columns, encoding):
    """A frame of rows: for each column its length, or -1 for NULL, and so many bytes."""
    data = b"".join(rows)
    at = np.cumsum([2] + [len(row) for row in rows[:-1]])  # behind the number of columns
    frame = {}
    for name, type_code in columns:
        length = numbers(data, at, ">i4")
        null = length < 0
        start = at + 4
        at = start + np.where(null, 0, length)
        if type_code == TEXT:
            frame[name] = texts(data, start, at, null, encoding)
        else:
            form, make = NUMBERS[type_code]
            frame[name] = make(numbers(data, start, form), null)
    return pd.DataFrame(frame)


def numbers(data, at, form):
    """Numbers of one form at these places; anything where there is none."""
    form = np.dtype(form)
    places = at[:, None] + np.arange(form.itemsize)
    found = np.frombuffer(data, np.uint8).take(places, mode="clip").view(form)[:, 0]
    return found.astype(form.newbyteorder("="))


def texts(data, start, end, null, encoding):
    """Equal texts are one object: a column of serial numbers takes no more than pointers."""
    places = zip(start.tolist(), end.tolist(), null.tolist())
    return [None if none else sys.intern(str(data[a:b], encoding)) for a, b, none in places]


def floats(values, null):
    return np.where(null, np.nan, values)


def times(microseconds, null):
    """Microseconds since 2000; pandas refuses what is not of the years 1678 to 2262."""
    since_1970 = np.where(null, 0, microseconds) + 946_684_800_000_000
    return pd.to_datetime(since_1970, unit="us", utc=True).where(~null)


# by OID, as in pg_type: the form of the bytes, and what makes a column of such numbers
TEXT = 25
NUMBERS = {
    20: (">i8", pd.arrays.IntegerArray),
    23: (">i4", pd.arrays.IntegerArray),
    701: (">f8", floats),
    1184: (">i8", times),
}


def known(column):
    if column.type_code not in (TEXT, *NUMBERS):
        raise TypeError(
            f'column "{column.name}" has a type that is not read here (OID {column.type_code}):'
            " cast it to int4, int8, float8, timestamptz or text"
        )
    return column.type_code
