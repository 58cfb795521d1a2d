"""What `make bench` prints: tables of medians, ratios and goals."""
import statistics

# Largest share of DuckDB's time.
GOALS = {"scan": 0.75, "count": 0.5, "one": 0.6, "full": 0.8}
# Largest share of a full run's time, by what has changed since the run before.
GOALS_CHANGE = {"objects": 0.03, "withdrawn": 0.01}
GOAL_S3 = 1.15  # times the folder's, or the download's
GOAL_SCALE = 4.2  # times the time, for four times the data
GOAL_MEMORY = 256 << 20  # bytes, private, of the largest process
NAMES = {
    "scan": "scan accelerometer_landing, three sums",
    "count": "count(*) of accelerometer_landing",
    "one": "one customer's readings",
    "full": "all five tables, full",
}
NAMES_CHANGE = {
    "nothing": "nothing new",
    "withdrawn": "one customer withdrawn",
    "anew": "one customer given anew",
    "forgotten": "one customer forgotten",
}


def verdict(holds):
    return "ok" if holds else "short"


def megabytes(n):
    return f"{n / (1 << 20):,.0f} MB"


def markdown(heads, rows):
    widths = [max(len(row[n]) for row in [heads, *rows]) for n in range(len(heads))]
    lines = []
    for row in [heads, ["-" * width for width in widths], *rows]:
        lines.append("| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |")
    return "\n".join(lines)


def comparison_row(result):
    duckdb = statistics.median(result["times"]["duckdb"])
    ours = statistics.median(result["times"]["ours"])
    goal = result["goal"]
    return [NAMES[result["job"]], result["form"], f"{result['customers']:,}", f"{duckdb:.2f}", f"{ours:.2f}",
            f"{ours / duckdb:.2f}", f"{goal:.2f}" if goal else "", verdict(ours <= goal * duckdb) if goal else ""]


def total(tables, what):
    """Objects, records or bytes of all landing tables."""
    return sum(counts[what] for counts in tables.values())


def new_objects_name(result):
    new, zone = result["new"][0], result["zone"]
    return (f"{total(new, 'objects')} new objects beside {total(zone, 'objects')},"
            f" {total(new, 'records') / total(zone, 'records'):.1%} of the records")


def change_rows(result):
    full = statistics.median(result["full"])
    customers = f"{result['customers']:,}"
    rows = [[NAMES["full"], customers, str(total(result["zone"], "objects")),
             f"{full * 1000:,.0f}", "", "", ""]]
    for change, runs in result["changes"].items():
        seconds = statistics.median(run["seconds"] for run in runs)
        objects = max((run["objects_read"] for run in runs if "objects_read" in run), default=None)
        goal = GOALS_CHANGE.get(change)
        row = [NAMES_CHANGE.get(change) or new_objects_name(result), customers,
               "" if objects is None else str(objects), f"{seconds * 1000:,.0f}", f"{seconds / full:.4f}",
               f"{goal:.2f}" if goal else "", verdict(seconds <= goal * full) if goal else ""]
        if change == "nothing":
            row[-2:] = "no object", verdict(objects == 0)
        rows.append(row)
    return rows


def change_phases(result):
    """Where the time of each of those runs went, in ms: the middle one by its time."""
    rows = []
    for change, runs in result["changes"].items():
        run = sorted(runs, key=lambda run: run["seconds"])[len(runs) // 2]
        if "phases" in run:
            spent = [*run["phases"].values(), run["seconds"] - sum(run["phases"].values())]
            rows.append([NAMES_CHANGE.get(change) or new_objects_name(result),
                         *(f"{seconds * 1000:,.0f}" for seconds in spent)])
    return rows


def memory_rows(result):
    memory = result["memory"]
    return [[f"memory, largest process, {result['form']}", megabytes(memory["ours"]),
             megabytes(GOAL_MEMORY), verdict(memory["ours"] <= GOAL_MEMORY)],
            [f"memory, DuckDB's process, {result['form']}", megabytes(memory["duckdb"]), "", ""]]


def floor_rows(result):
    return [["write floor: the five tables again by CREATE TABLE AS",
             f"{statistics.median(result['copies']):.2f} s", "", ""],
            [f"write floor: {megabytes(result['wal'])} of WAL, written and synced",
             f"{statistics.median(result['writes']):.2f} s", "", ""]]


def scale_rows(result):
    small, large = map(statistics.median, result["times"])
    rows = [[f"all five tables, {customers:,} customers", f"{seconds:.2f} s", "", ""]
            for customers, seconds in zip(result["customers"], (small, large))]
    rows.append(["four times the data: times the time", f"{large / small:.2f}", f"{GOAL_SCALE}",
                 verdict(large <= GOAL_SCALE * small)])
    for customers, memory in zip(result["customers"], result["memory"]):
        rows.append([f"memory, largest process, {customers:,} customers", megabytes(memory),
                     megabytes(GOAL_MEMORY), verdict(memory <= GOAL_MEMORY)])
    return rows


def s3_rows(result):
    s3, file, download = (statistics.median(result["times"][name]) for name in ("s3", "file", "download"))
    bound = max(file, download)
    rows = [["all five tables, from S3", f"{s3:.2f} s", "", ""],
            ["all five tables, from a folder", f"{file:.2f} s", "", ""],
            [f"plain download, {result['connections']} connections", f"{download:.2f} s", "", ""],
            ["S3: times the larger of the two", f"{s3 / bound:.2f}", f"{GOAL_S3}",
             verdict(s3 <= GOAL_S3 * bound)]]
    requests, wanted = result["requests"], result["wanted"]
    if requests is None:
        rows.append(["requests of a run", "not logged", "", ""])
    else:
        for method in sorted({*requests, *wanted}):
            limit = wanted.get(method, 0)
            rows.append([f"requests of a run: {method}", str(requests.get(method, 0)), str(limit),
                         verdict(requests.get(method, 0) <= limit)])
    rows += [[f"requests of a scan of {table}, by EXPLAIN", str(n), "", ""]
             for table, n in result["scans"].items()]
    return rows


def print_all(results, settings):
    print(f"PostgreSQL {settings['postgresql']}, DuckDB {settings['duckdb']}, {settings['cores']} cores,"
          f" medians of {settings['runs']}; {', '.join(settings['conf'])}\n")
    comparisons = [result for result in results if result["kind"] == "comparison"]
    if comparisons:
        print(markdown(["work", "form", "customers", "DuckDB s", "stedi s", "ratio", "goal", ""],
                       [comparison_row(result) for result in comparisons]))
        print()
    for result in results:
        if result["kind"] == "change":
            print(markdown(["work", "customers", "objects read", "ms", "of a full run", "goal", ""],
                           change_rows(result)))
            print()
            phases = result["changes"]["nothing"][0]["phases"]
            print(markdown(["ms", *phases, "commit and the rest"], change_phases(result)))
            print()
    rows = []
    for result in results:
        if result["kind"] == "comparison":
            if result["job"] == "full":
                rows += memory_rows(result)
        elif result["kind"] != "change":
            rows += {"floor": floor_rows, "scale": scale_rows, "s3": s3_rows}[result["kind"]](result)
    if rows:
        print(markdown(["figure", "measured", "goal", ""], rows))
