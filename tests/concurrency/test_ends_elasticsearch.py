"""A process on Elasticsearch that ends before any request, or before its answer, leaves books that others finish."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from tests.concurrency.ledgers import course, distant_shell, essence, job_key, log_of, whole_books
from tests.concurrency.nursery import ANSWER, INTERRUPT, KILL, REQUEST, Fate

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.cli.shell import Shell
    from tests.concurrency.nursery import Ended, Nursery
    from tests.elastic.server import BookServer
    from tests.model.invariants import Books

INTERRUPTED = 130
INTERRUPTED_EVERY, SETUP_EVERY = 3, 5
"""Of how many requests one is the last, where that stands for all."""
HEAD = ("head_seq", "head_hash", "head_time")
REQUESTS_MAX = 100
PORTION = 2
"""Jobs that an import books at once here, so that it needs two entries."""


class Scene(NamedTuple):
    """A command that is to be ended everywhere, in a tenant of its own each time; {n} is the number of that time."""

    prepare: tuple[str, ...]
    words: str
    """The command; sent again it is done once, by one of its keys or by its nature."""
    requests_min: int
    """How many requests it sends at the least; fewer would say that they are not counted."""


TENANT = ("tenant add --tenant=t{n}", "tenant payment --tenant=t{n} --payment=100")
PROJECT = (*TENANT, "project add --project=p{n} --tenant=t{n} --balance=79", "user add --project=p{n} --user=anna")
RESERVE = "transaction reservebudget --project=p{n} --estimate=1000 --job=" + job_key(1)
SCENES = {
    "charge with its hold": Scene(
        (*PROJECT, RESERVE),
        "transaction charge --project=p{n} --user=anna --jobtime=500 --start=1700000000 --job=" + job_key(1),
        6,
    ),
    "project add": Scene(TENANT, "project add --project=p{n} --tenant=t{n} --balance=5 --key=k", 6),
    "import": Scene((*PROJECT, RESERVE), "job import jobs{n}.txt --cluster=lab", 12),
}


class Play:
    """A scene on one set of books, again and again, each time with names of its own."""

    def __init__(self, scene: Scene, shell: Shell, nursery: Nursery) -> None:
        """Take the scene, books that are set up, and what brings up processes."""
        self.scene = scene
        self.shell = shell
        self.nursery = nursery
        self.number = 100
        shell.ok("rate", "set", "--rate=36")

    def stage(self) -> None:
        """Prepare the next time."""
        self.number += 1
        for words in self.scene.prepare:
            self.shell.ok(*self._words(words))
        (self.shell.folder / f"jobs{self.number}.txt").write_text(log_of(jobs=4, account=f"p{self.number}"))

    def _words(self, text: str) -> list[str]:
        return text.replace("{n}", str(self.number)).split()

    def run(self, fate: Fate | None = None) -> Ended:
        """Run the command in a process of its own."""
        return self.nursery.dca(self.shell, *self._words(self.scene.words), fate=fate, portion=PORTION)

    def course(self, books: Books, number: int) -> list[Any]:
        """Return what the log says happened in the tenant of that time, without its number."""
        return [
            (seq, category, action, [(kind, record_id.replace(str(number), "N")) for kind, record_id in changes])
            for seq, category, action, changes in course(books, f"t:t{number}")
        ]

    def essence(self, books: Books, number: int) -> dict[str, dict[str, str]]:
        """Return the records of that time, without its number."""
        mine = (f"t{number}", f"p{number}")
        return {
            kind: {
                name.replace(str(number), "N"): str(values).replace(str(number), "N") if kind != "key" else ""
                for name, values in records.items()
                if any(own in name for own in mine)
            }
            for kind, records in essence(books).items()
        }


def ended_anywhere(play: Play, operation: str, how: str) -> Iterator[None]:
    """Play a scene again and again, ending it at each of its requests; stop when it comes to its own end."""
    wanted = -signal.SIGKILL if how == KILL else INTERRUPTED
    for number in range(1, REQUESTS_MAX, 1 if how == KILL else INTERRUPTED_EVERY):
        play.stage()
        ended = play.run(Fate(operation, number, how))
        if ended.status == 0:
            return
        assert ended.status == wanted, ended
        assert "Traceback" not in ended.err, ended
        yield
    pytest.fail("it does not come to an end")


@pytest.mark.parametrize(
    ("name", "operation", "how"),
    [
        *((name, REQUEST, KILL) for name in SCENES),
        *((name, ANSWER, KILL) for name in SCENES if name != "import"),
        ("import", REQUEST, INTERRUPT),
    ],
)
def test_a_command_ends_anywhere(
    name: str, operation: str, how: str, distant: Shell, nursery: Nursery, emptied_server: BookServer
) -> None:
    """The books read whole, the command is done or not (an import: up to an entry), and sent again it is done once.

    What was on its way when the process ended may still arrive while the command is sent again.
    """
    play = Play(SCENES[name], distant, nursery)
    play.stage()
    first = play.number
    begin = play.course(whole_books(distant), first)
    assert play.run().status == 0
    end = play.course(whole_books(distant), first)
    requests, seen = 0, set()
    for _ in ended_anywhere(play, operation, how):
        requests += 1
        if operation == REQUEST:
            here = play.course(whole_books(distant), play.number)
            assert here == end[: len(here)], f"ended at request {requests} it has done something else"
            seen.add(len(here))
        again = play.run()
        assert (again.status, again.err) == (0, ""), again
    books = whole_books(distant)
    wanted = play.essence(books, first)
    for number in range(first, play.number + 1):
        assert play.course(books, number) == end, f"sent again after its end, time {number - first}"
        assert play.essence(books, number) == wanted, f"sent again after its end, time {number - first}"
    assert requests >= (SCENES[name].requests_min if how == KILL else SCENES[name].requests_min // INTERRUPTED_EVERY)
    assert (operation, how) != (REQUEST, KILL) or seen == set(range(len(begin), len(end) + 1)), (
        "every entry was the last one once"
    )
    for tenant in books.records["tenant"].values():
        distant.ok("tenant", "payment", f"--tenant={tenant.name}", "--payment=1")
    all_is_finished(whole_books(distant), emptied_server)


def test_one_after_the_other_ends_in_a_new_tenant(distant: Shell, nursery: Nursery) -> None:
    """Who adds a tenant is killed before it is written, and who pays for it anywhere: nothing is called damaged."""

    def killed(request: int, *words: str) -> bool:
        ended = nursery.dca(distant, *words, fate=Fate(REQUEST, request))
        assert ended.status in (0, -signal.SIGKILL), ended
        return ended.status != 0

    last = next(n for n in range(1, REQUESTS_MAX) if not killed(n, "tenant", "add", f"--tenant=u{n}")) - 1
    payments = 0
    for request in range(1, REQUESTS_MAX):
        tenant = f"--tenant=t{request}"
        assert killed(last, "tenant", "add", tenant)
        if not killed(request, "tenant", "payment", tenant, "--payment=5"):
            break
        books = whole_books(distant)
        assert books.records["tenant"][f"t{request}"].balance in (0, 5_000_000)
        payments += bool(books.records["tenant"][f"t{request}"].balance)
    assert payments >= 2, "the payment was killed after its entry, too"


def all_is_finished(books: Books, server: BookServer) -> None:
    """Check that what was left unfinished was finished by those who came after: the documents are the records."""
    for kind, records in books.records.items():
        found = server.must("POST", f"/{server.prefix}{kind}/_search", {"size": 10_000})["hits"]["hits"]
        sources = {one["_id"]: one["_source"] for one in found}
        heads = {one: [source.pop(name, None) for name in HEAD] for one, source in sources.items()}
        assert sources == {record.id: record._asdict() for record in records.values()}
        for tenant in records if kind == "tenant" else ():
            last = books.log[f"t:{tenant}"][-1]
            assert heads[tenant] == [last.seq, last.hash, last.time], f"the head of {tenant} was left behind"


def test_setting_up_ends_anywhere(clean_server: BookServer, tmp_path: Path, nursery: Nursery) -> None:
    """Setting up that was ended is taken up again, from wherever it got."""
    requests = 0
    for number in range(1, REQUESTS_MAX):
        shell = distant_shell(tmp_path, clean_server)
        shell.store += f"{number}-"
        shell.environment["DCA_STORE"] = shell.store
        ended = nursery.dca(shell, "setup", fate=Fate(REQUEST, SETUP_EVERY * number))
        if ended.status == 0:
            break
        assert ended.status == -signal.SIGKILL, ended
        assert nursery.dca(shell, "setup").status == 0
        shell.ok("tenant", "add", "--tenant=acme")
        whole_books(shell)
        requests += 1
    assert requests > 2
