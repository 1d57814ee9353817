"""What hooks do when dca cannot take a call: keep it, send it again, and lose nothing."""

from __future__ import annotations

import fcntl
import json
import os
import stat
from typing import TYPE_CHECKING

import pytest

from tests.hooks.captured import run
from tests.hooks.site import NOWHERE

if TYPE_CHECKING:
    from tests.hooks.site import Site

DOWN = f'{{"status":"failed","error":"nothing answers at {NOWHERE}.","code":"unreachable"}}'
BUSY = '{"status":"failed","error":"others were first.","code":"busy"}'
UNKNOWN = '{"status":"failed","error":"the store did not say.","code":"outcome_unknown"}'
REFUSED = '{"status":"failed","error":"there is no project \'phy-lattice\'.","code":"not_found"}'


def test_store_out_of_reach_all_along(site: Site) -> None:
    """Hold and charge wait in files only their owner may read; later the charge is sent, and needs no hold."""
    books = site.settings["DCA_STORE"]
    one = run("completed")
    site.configure(DCA_STORE=NOWHERE)
    site.prolog(one)
    assert site.epilog(one) == 0
    assert list(site.kept()) == [one.name(1), one.name(2)]
    assert site.kept()[one.name(2)].splitlines() == [
        "transaction",
        "charge",
        "--project=phy-lattice",
        "--user=anna",
        f"--job=hookery/1218/{one.submit}",
        "--cores=2",
        "--jobtime=3",
        f"--start={one.at - 3}",
    ]
    modes = {stat.S_IMODE(path.stat().st_mode) for path in (site.spool / "waiting").iterdir()}
    assert (modes, stat.S_IMODE((site.spool / "waiting").stat().st_mode)) == ({0o600}, 0o700)
    status, said = site.send()
    assert (status, said.partition(" (")[0]) == (3, "sent 0, refused 0, left 1")
    assert "nothing answers" in site.logged
    site.configure(DCA_STORE=books)
    assert site.send() == (0, "sent 1, refused 0, left 0\n")
    assert site.send() == (0, "")
    assert [(charge["runtime"], charge["billed_seconds"]) for charge in site.charges] == [(3, 6)]
    assert (site.holds, site.kept(), site.kept("refused")) == ([], {}, {})
    assert site.bring(one)["known"] == 1


def test_books_that_are_gone_stop_no_job(site: Site) -> None:
    """A file on a disk that is not mounted is out of reach: no new books are made, in which no project is."""
    one = run("completed")
    site.configure(DCA_STORE=f"sqlite:{site.folder / 'gone.db'}")
    site.prolog(one)
    assert site.epilog(one) == 0
    assert list(site.kept()) == [one.name(1), one.name(2)]
    assert site.called_with("scontrol") == []
    assert not list(site.folder.glob("gone.db*"))


def test_hold_of_a_running_job_is_sent(site: Site) -> None:
    """The job started without it; once the store is back the money is held until the job ends."""
    books = site.settings["DCA_STORE"]
    one = run("completed")
    site.configure(DCA_STORE=NOWHERE)
    site.prolog(one)
    site.configure(DCA_STORE=books)
    assert site.send() == (0, "sent 1, refused 0, left 0\n")
    assert len(site.holds) == 1
    assert site.epilog(one) == 0
    assert (site.holds, len(site.charges)) == ([], 1)


def test_charge_does_not_overtake_its_hold(site: Site) -> None:
    """While a hold waits its charge waits, too, even if the store answers: a sender may just be sending the hold."""
    books = site.settings["DCA_STORE"]
    one = run("completed")
    site.configure(DCA_STORE=NOWHERE)
    site.prolog(one)
    site.configure(DCA_STORE=books, DCA_HOOK_RETRY="0")
    assert site.epilog(one) == 0
    assert list(site.kept()) == [one.name(1), one.name(2)]
    assert site.send()[0] == 0
    assert (site.holds, len(site.charges)) == ([], 1)


def test_epilog_sends_what_waits(site: Site) -> None:
    """An epilog whose own charge was taken sends a few more."""
    books = site.settings["DCA_STORE"]
    first, second = run("completed"), run("failed")
    site.configure(DCA_STORE=NOWHERE)
    assert site.epilog(first) == 0
    site.configure(DCA_STORE=books, DCA_HOOK_RETRY="0")
    assert site.epilog(second) == 0
    assert (len(site.charges), site.kept()) == (2, {})


def test_epilog_without_store_after_the_import(site: Site) -> None:
    """An import may be first; what waited is then known, and no hold is left open."""
    books = site.settings["DCA_STORE"]
    one = run("completed")
    site.configure(DCA_STORE=NOWHERE)
    site.prolog(one)
    site.epilog(one)
    site.configure(DCA_STORE=books)
    assert site.bring(one)["charged"] == 1
    assert site.send() == (0, "sent 1, refused 0, left 0\n")
    assert (site.holds, len(site.charges)) == ([], 1)


@pytest.mark.parametrize(
    ("status", "says"),
    [(3, DOWN), (5, BUSY), (6, UNKNOWN), (127, "dca: not found"), (1, "Traceback: no module"), (124, ""), (137, "")],
)
def test_what_may_come_right_waits(site: Site, status: int, says: str) -> None:
    """Out of reach, busy, outcome unknown, no dca at all, too slow: kept, and tried again as often as it takes."""
    site.record(says, status)
    one = run("completed")
    assert site.epilog(one) == 0
    assert list(site.kept()) == [one.name(2)]
    status, said = site.send()
    assert (status, said.partition(" (")[0].strip()) == (3, "sent 0, refused 0, left 1")
    site.record(json.dumps({"status": "success"}))
    assert site.send() == (0, "sent 1, refused 0, left 0\n")
    assert site.recorded[0] == site.recorded[1] == site.recorded[2]


def test_store_that_was_down_is_spared_for_a_while(site: Site) -> None:
    """Not every job waits for a store that does not answer: for a minute calls are kept at once."""
    site.record(DOWN, 3)
    for case in ("completed", "failed"):
        assert site.epilog(run(case)) == 0
    assert (len(site.recorded), len(site.kept())) == (1, 2)
    (site.spool / "down").write_text("1\n")
    assert site.epilog(run("cancelled")) == 0
    assert len(site.recorded) == 2
    assert site.send()[1].startswith("sent 0, refused 0, left 3")
    assert len(site.recorded) == 3
    site.record("{}")
    assert site.send() == (0, "sent 3, refused 0, left 0\n")
    assert not (site.spool / "down").exists()


@pytest.mark.parametrize(("status", "says"), [(1, REFUSED), (2, DOWN.replace("unreachable", "usage")), (4, BUSY)])
def test_what_is_refused_is_put_aside_with_the_answer(site: Site, status: int, says: str) -> None:
    """It never comes right by itself; moved back, it is sent again as it was."""
    site.record(DOWN, 3)
    one = run("completed")
    site.epilog(one)
    site.record(says, status)
    assert site.send() == (0, "sent 0, refused 1, left 0\n")
    arguments, _, answer = site.kept("refused")[one.name(2)].partition("\n\n")
    assert arguments.splitlines()[:2] == ["transaction", "charge"]
    assert answer == says + "\n"
    assert one.name(2) in site.logged
    site.record("{}")
    (site.spool / "refused" / one.name(2)).rename(site.spool / "waiting" / one.name(2))
    assert site.send() == (0, "sent 1, refused 0, left 0\n")
    assert site.recorded[0] == site.recorded[-1]


def test_one_bad_call_holds_up_no_other(site: Site) -> None:
    """Only a store out of reach ends a run of the sender."""
    site.record(DOWN, 3)
    for case in ("completed", "failed", "cancelled"):
        site.configure(DCA_HOOK_RETRY="0")
        site.epilog(run(case))
    site.record(UNKNOWN, 6)
    calls = len(site.recorded)
    assert site.send()[1].startswith("sent 0, refused 0, left 3")
    assert len(site.recorded) == calls + 3


@pytest.mark.parametrize(
    "text",
    [
        "",
        "touch\n{place}\n",
        "transaction\nrelease\n--all\n",
        "tenant\ndisable\n--tenant=physics\n-y\n",
        "$(touch {place})\n",
    ],
    ids=["empty", "command", "other command", "worse command", "substitution"],
)
def test_only_holds_and_charges_are_sent(site: Site, text: str) -> None:
    """Whatever else lies there is put aside, and nothing in a file is ever run."""
    place = site.folder / "pwned"
    assert site.send() == (0, "")
    (site.spool / "waiting" / "hookery.1.1.2").write_text(text.format(place=place))
    site.record()
    assert site.send() == (0, "sent 0, refused 1, left 0\n")
    assert site.recorded == []
    assert not place.exists()


def test_run_that_sacct_does_not_know_yet_waits(site: Site) -> None:
    """Slurm's database lags; the charge is made when the end is there, with what sacct measured."""
    one = run("requeued")
    site.prolog(one)
    site.epilog(one)
    for said in ("", one.sacct.splitlines()[1], f"1227|{one.submit}|{one.submit + 1}|Unknown|2|1"):
        site.say("sacct", said)
        assert site.send() == (3, "sent 0, refused 0, left 1 (sacct does not know the end of job 1227 yet)\n")
    site.sacct(one)
    assert site.send()[0] == 0
    assert site.called_with("sacct")[-1][:8] == ["-M", "hookery", "-X", "-D", "-P", "-n", "-j", "1227"]
    assert [charge["runtime"] for charge in site.charges] == [2]


def test_run_that_never_had_a_node_is_not_charged(site: Site) -> None:
    """As in the import."""
    one = run("requeued")
    site.epilog(one)
    site.say("sacct", f"1227|{one.submit}|None|{one.at}|0|0")
    assert site.send() == (0, "")
    assert (site.kept(), site.charges) == ({}, [])


def test_sender_takes_as_many_as_it_is_told(site: Site) -> None:
    """The rest is left."""
    site.record(DOWN, 3)
    for case in ("completed", "failed", "cancelled"):
        site.epilog(run(case))
    site.record("{}")
    assert site.send("--limit=2") == (3, "sent 2, refused 0, left 1\n")


def test_sender_of_a_few_does_not_wait_twice(site: Site) -> None:
    """An epilog that sends a few calls is not held up by several slow ones."""
    site.record(DOWN, 3)
    for case in ("completed", "failed", "cancelled"):
        site.epilog(run(case))
    site.record(BUSY, 5)
    calls = len(site.recorded)
    assert site.send("--limit=5")[1].startswith("sent 0, refused 0, left 3")
    assert len(site.recorded) == calls + 1


@pytest.mark.parametrize("word", ["--limit=x", "--limit=", "--help", "x"])
def test_sender_says_how_it_is_used(site: Site, word: str) -> None:
    """Nothing is sent."""
    assert site.send(word) == (2, "usage: dca-spool-send [--limit=<calls>]\n")


def test_one_sender_at_a_time(site: Site) -> None:
    """The second leaves the work to the first."""
    site.record(DOWN, 3)
    site.epilog(run("completed"))
    site.record("{}")
    with (site.spool / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert site.send() == (0, "")
    assert site.send() == (0, "sent 1, refused 0, left 0\n")


def test_leftovers_go_away(site: Site) -> None:
    """Files of hooks that were ended half-way are removed after a day."""
    site.send()
    old = [site.spool / "runs" / "hookery.1.lock", site.spool / "waiting" / ".hookery.1.1.2.77"]
    young = site.spool / "runs" / "hookery.2.lock"
    for path in (*old, young):
        path.write_text("")
    for path in old:
        os.utime(path, (1, 1))
    assert site.send() == (0, "")
    assert ([path.exists() for path in old], young.exists()) == ([False, False], True)


def test_unusable_spool_stops_no_job(site: Site) -> None:
    """With the store in reach jobs are booked; without it the log says that the import has to bring them."""
    site.configure(DCA_HOOK_SPOOL="/dev/null/spool")
    one = run("completed")
    site.prolog(one)
    assert site.epilog(one) == 0
    assert len(site.charges) == 1
    site.configure(DCA_STORE=NOWHERE)
    other = run("failed")
    site.prolog(other)
    assert site.epilog(other) == 1
    assert site.logged.count("left to the import") == 2
    assert site.send()[0] == 3


def test_broken_settings_stop_no_job(site: Site) -> None:
    """The prolog never fails, whatever stands in its settings."""
    one = run("completed")
    for text in ("DCA_HOOK_WAIT=$(\n", "exit 7\n", "set -e; false\n", "unset HOME; : ${HOME:?none}\n"):
        (site.folder / "hooks.conf").write_text(text)
        site.prolog(one)
    site.configure(DCA_HOOK_WAIT="soon", DCA_HOOK_UNLIMITED="-1", DCA_HOOK_ON_REFUSAL="perhaps")
    site.prolog(one)
    assert len(site.holds) == 1
