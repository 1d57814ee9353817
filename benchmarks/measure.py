"""Measure start-up and import: python -m benchmarks.measure [--elasticsearch=URL] [--log=FILE] [--rounds=N].

Every figure stands beside its floor from the same run, and the ratio of both is what counts: machines differ and are
noisy. Start-up: whole processes, in turn with `python -c pass`. Import: the Gaia trace (51,987 real jobs), priced,
charged and chained, against plain inserts (or a plain bulk) of the same rows in commits of the same size.
"""

import argparse
import contextlib
import gc
import io
import json
import os
import resource
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from dca.cli import main as run_dca
from dca.store.schema import KINDS
from dca.store.sqlite_layout import ddl

GAIA = Path(__file__).resolve().parent.parent / "tests/data/gaia/UniLu-Gaia-2014-2.swf.gz"


def dca(store: str, *words: str) -> dict[str, Any]:
    """Run a command in this process and return its answer."""
    os.environ["DCA_STORE"] = store
    out = io.TextIOWrapper(io.BytesIO(), write_through=True)
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()):
        status = run_dca([*words, "-m"])
    buffer = out.buffer
    assert isinstance(buffer, io.BytesIO)
    answer: dict[str, Any] = json.loads(buffer.getvalue())
    if status:
        sys.exit(f"dca {' '.join(words)}: {answer['error']}")
    return answer


def seconds_of(work: Callable[[], object]) -> float:
    """Return how many seconds a piece of work takes."""
    gc.collect()
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def row(what: str, ours: float, floor: float, unit: str) -> None:
    """Print one figure, its floor and their ratio."""
    sys.stdout.write(f"{what:<46} {ours:>10.3f} {floor:>10.3f} {unit:<4} {ours / floor:>6.2f}\n")


def start_up(store: str, rounds: int) -> None:
    """Measure whole processes against a bare interpreter, in turn."""
    for line in (
        "rate set --rate=1", "tenant add --tenant=a", "tenant payment --tenant=a --payment=1000000",
        "project add --project=p --tenant=a --balance=1000000", "user add --project=p --user=u",
    ):  # fmt: skip
        dca(store, *line.split())
    commands = {
        "dca --version": ["--version"],
        "dca list": ["list"],
        "dca transaction reservebudget": ["transaction", "reservebudget", "--project=p", "--estimate=60"],
        "dca transaction charge": [
            "transaction", "charge", "--project=p", "--user=u", "--jobtime=60", "--estimate=60",
        ],
    }  # fmt: skip
    environment = {**os.environ, "DCA_STORE": store}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed dca has its bytecode beside it
    for what, words in commands.items():
        ratios, times, bare = [], [], []
        for _ in range(rounds):
            bare.append(process([sys.executable, "-c", "pass"], environment))
            times.append(process([sys.executable, "-m", "dca", *words], environment))
            ratios.append(times[-1] / bare[-1])
        row(f"{what}, SQLite, processor time", 1000 * median(times), 1000 * median(bare), "ms")


def process(command: list[str], environment: dict[str, str]) -> float:
    """Return the processor seconds of one process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime + after.ru_stime) - (before.ru_utime + before.ru_stime)


def books(store: str) -> None:
    """Prepare books for the import."""
    dca(store, "rate", "set", "--rate=0.05")
    dca(store, "tenant", "add", "--tenant=lux")


def bring(store: str, log: Path) -> dict[str, Any]:
    """Import the log."""
    return dca(store, "job", "import", "--input-format=swf", "--tenant=lux", "--create-missing", str(log))


def commits(connection: sqlite3.Connection) -> Iterator[tuple[tuple[Any, ...], list[tuple[Any, ...]]]]:
    """Yield the log rows of books with the transactions that each brought."""
    for entry in connection.execute("SELECT * FROM log ORDER BY rowid").fetchall():
        found = connection.execute('SELECT * FROM "transaction" WHERE stream = ? AND seq = ?', entry[:2]).fetchall()
        if found:
            yield entry, found


def sqlite_floor(path: Path, rows: list[tuple[tuple[Any, ...], list[tuple[Any, ...]]]]) -> float:
    """Return the seconds that plain durable inserts of the same rows in the same commits take."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    for statement in ddl():
        connection.execute(statement)

    def insert() -> None:
        for entry, found in rows:
            connection.execute("BEGIN IMMEDIATE")
            marks = ", ".join("?" * len(entry))
            connection.execute(f"INSERT INTO log VALUES ({marks})", entry)  # noqa: S608 -- only marks
            marks = ", ".join("?" * len(found[0]))
            connection.executemany(f'INSERT INTO "transaction" VALUES ({marks})', found)  # noqa: S608 -- only marks
            connection.execute("COMMIT")

    took = seconds_of(insert)
    connection.close()
    return took


def import_sqlite(folder: Path, log: Path, rounds: int) -> list[tuple[tuple[Any, ...], list[tuple[Any, ...]]]]:
    """Measure the import into SQLite; return what it committed."""
    first, again, floors, rows = [], [], [], []
    for number in range(rounds):
        path = folder / f"import{number}.db"
        store = f"sqlite:{path}"
        books(store)
        first.append(seconds_of(partial(bring, store, log)))
        again.append(seconds_of(partial(bring, store, log)))
        with contextlib.closing(sqlite3.connect(path)) as connection:
            rows = list(commits(connection))
        floors.append(sqlite_floor(folder / f"floor{number}.db", rows))
    jobs = sum(len(found) for _, found in rows)
    row(f"import of {jobs} jobs, SQLite", median(first), median(floors), "s")
    row("the same log once more (against the first time)", median(again), median(first), "s")
    sys.stdout.write(f"{'charges a second, SQLite':<46} {jobs / median(first):>10.0f}\n")
    return rows


def import_elasticsearch(url: str, log: Path, rows: list[tuple[tuple[Any, ...], list[tuple[Any, ...]]]]) -> None:
    """Measure the import into Elasticsearch against a plain parallel bulk of the same transactions."""
    from elasticsearch import Elasticsearch, helpers

    store = f"{url.rstrip('/')}/bench-"
    dca(store, "setup", "--wipe", "-y")
    books(store)
    first = seconds_of(lambda: bring(store, log))
    again = seconds_of(lambda: bring(store, log))
    client = Elasticsearch(url, request_timeout=60)
    alias = "bench-transaction"
    names = list(KINDS["transaction"].record.__annotations__)
    settings = client.indices.get(index=alias).body
    (index,) = settings.values()
    target = "bench-floor"
    client.indices.create(
        index=target, mappings=index["mappings"], settings={"number_of_shards": 1, "number_of_replicas": 0}
    )
    actions = [
        {"_op_type": "create", "_index": target, "_id": record[0], "_source": dict(zip(names, record, strict=True))}
        for _, found in rows
        for record in found
    ]

    def bulk() -> None:
        for ok, item in helpers.parallel_bulk(client, actions, thread_count=2, chunk_size=900):
            assert ok, item

    floor = seconds_of(bulk)
    client.indices.delete(index=target)
    row(f"import of {len(actions)} jobs, Elasticsearch", first, floor, "s")
    row("the same log once more (against the first time)", again, first, "s")
    dca(store, "setup", "--wipe", "-y")
    client.close()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--elasticsearch", default="", help="URL with user and password; its indices bench-* are used")
    parser.add_argument("--log", type=Path, default=GAIA)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["HOME"] = name
        os.environ.pop("DCA_CONFIG", None)
        sys.stdout.write(f"{'what':<46} {'ours':>10} {'floor':>10} {'':<4} {'ratio':>6}\n")
        start_up(f"sqlite:{folder / 'start.db'}", 4 * options.rounds)
        rows = import_sqlite(folder, options.log, options.rounds)
        if options.elasticsearch:
            import_elasticsearch(options.elasticsearch, options.log, rows)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    sys.stdout.write(f"{'peak memory of this process, MiB':<46} {peak:>10.0f}\n")


if __name__ == "__main__":
    main()
