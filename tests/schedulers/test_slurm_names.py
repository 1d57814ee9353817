"""Delimiters and line breaks that users put into names and comments: joined, or refused, never misread."""

import pytest

from dca.schedulers.job import Job, Rejected, Skipped
from tests.schedulers.reading import END, HEADER, VALUES, counts, items, jobs, lines, one_job, reasons, row

MIDDLE = "JobIDRaw|Cluster|Account|User|JobName|Partition|State|Submit|Start|End|ElapsedRaw|AllocCPUS|NNodes"
FIRST = "JobName|" + HEADER.removesuffix("|JobName")
TWO = "JobIDRaw|Comment|Account|User|State|JobName|Partition|Submit|Start|End|ElapsedRaw|AllocCPUS|NNodes"


def put(header: str, **changes: str) -> str:
    """Return a record with its columns in the order of a header."""
    values = VALUES | {"Comment": ""} | changes
    return "|".join(values[name] for name in header.split("|"))


BARRED = ["a|b", "|", "||||", "a|b|c|d|e", "x" * 5000 + "|", '"|"', "\\|"]


@pytest.mark.parametrize(
    ("header", "name"),
    [(header, name) for header in (HEADER, MIDDLE, FIRST, TWO) for name in BARRED]
    + [(header, "COMPLETED|batch") for header in (HEADER, MIDDLE, FIRST)],
)
def test_bars_in_a_name(header: str, name: str) -> None:
    """Wherever the name stands, what is left and right of it keeps its place."""
    job = one_job(lines(header, put(header, JobName=name)))
    assert job._replace(text="", cluster="lab") == one_job(lines(HEADER, row()))._replace(text="")


def test_bars_in_two_columns() -> None:
    """Comment and name both; what lies between them shows where it belongs."""
    job = one_job(lines(TWO, put(TWO, Comment="cost|centre|42", JobName="a|b")))
    assert (job.account, job.user, job.cores, job.end) == ("cli-ocean", "anna", 4, END)


def test_bars_that_can_be_read_in_two_ways_are_refused() -> None:
    """Between two free columns stands only a user, and every word could be one."""
    header = "Comment|User|JobName|" + HEADER.removesuffix("|JobName").replace("|User", "")
    data = lines(header, put(header, Comment="mallory|bob", JobName="x"))
    assert counts(items(data)) == {"rejected": 1}
    assert counts(items(lines(TWO, put(TWO, JobName="COMPLETED|batch")))) == {"rejected": 1}


def test_a_column_that_nobody_knows_may_hold_bars() -> None:
    """A new version of Slurm can bring columns with any text in them."""
    header = f"JobIDRaw|Novelty|{HEADER.removeprefix('JobIDRaw|')}"
    values = VALUES | {"Novelty": "a|b|c"}
    assert one_job(lines(header, "|".join(values[name] for name in header.split("|")))).cores == 4


def test_too_many_bars_to_sort_out() -> None:
    """There is a limit to what is tried; with the name alone as a free column none is needed."""
    assert counts(items(lines(TWO, put(TWO, JobName="|" * 300)))) == {"rejected": 1}
    assert one_job(lines(HEADER, row(JobName="|" * 3000))).cores == 4


def test_bars_where_none_can_be_are_refused() -> None:
    """Without a free column every bar is one too many."""
    header = HEADER.removesuffix("|JobName")
    found = items(lines(header, f"{put(header)}|x", put(header)))
    assert reasons(found) == ["rejected", "job"]


@pytest.mark.parametrize("header", [HEADER, MIDDLE, TWO])
@pytest.mark.parametrize(
    "name", ["new\nline", "new\n", "\nline", "a\n\nb", "a|b\nc", "a\nb|c", "a\nb\nc\nd", "new\nstate"]
)
def test_a_line_break_in_a_name(header: str, name: str) -> None:
    """The record comes out whole, and so do those before and after it; its other lines are counted as such."""
    data = lines(header, put(header, JobIDRaw="1"), put(header, JobIDRaw="2", JobName=name), put(header, JobIDRaw="3"))
    found = items(data)
    assert [(job.job, job.end, job.cores) for job in jobs(found)] == [("1", END, 4), ("2", END, 4), ("3", END, 4)]
    assert "rejected" not in counts(found)
    assert len(found) == 3 + name.count("\n")


def test_a_line_break_in_a_name_that_comes_first() -> None:
    """What is left of the break could be all that is left of a record, so it is told; the record itself is whole."""
    data = lines(
        FIRST, put(FIRST, JobIDRaw="1"), put(FIRST, JobIDRaw="2", JobName="new\nline"), put(FIRST, JobIDRaw="3")
    )
    found = items(data)
    assert [job.job for job in jobs(found)] == ["1", "2", "3"]
    assert reasons(found) == ["job", "rejected", "job", "job"]


def test_a_cut_record_is_told_where_the_name_comes_first() -> None:
    """The next record reads well with it and without it, but it was one itself."""
    found = items(lines(FIRST, put(FIRST, JobIDRaw="1"), put(FIRST, JobIDRaw="2")[:50], put(FIRST, JobIDRaw="3")))
    assert reasons(found) == ["job", "rejected", "job"]
    found = items(lines(f"{TWO}|WorkDir", f"{put(TWO)}|/", put(TWO, JobIDRaw="2")[:50], f"{put(TWO)}|/"))
    assert reasons(found)[:2] == ["job", "rejected"] or reasons(found) == ["job", "rejected", "rejected"]
    assert len(found) == 3


def test_the_text_of_a_joined_record_is_all_its_lines() -> None:
    """For the file of rejected lines."""
    assert jobs(items(lines(MIDDLE, put(MIDDLE, JobName="new\nline"))))[0].text == put(MIDDLE, JobName="new\nline")


@pytest.mark.parametrize("name", ["new\n42", "new\n1017|1017", "a\nb|2026-11-23T00:45:22|c"])
def test_a_continuation_that_could_be_a_cut_record_is_refused(name: str) -> None:
    """With the name last nothing tells them apart; the record before it and the one after it stand."""
    found = items(lines(HEADER, row(JobName=name), row(JobIDRaw="1018")))
    assert reasons(found) == ["job", "rejected", "job"]


def test_a_short_line_after_no_record_is_refused() -> None:
    """There is no name that it could continue: right after the header, or after a line that was refused."""
    assert reasons(items(lines(HEADER, "line", "line", row(), "line"))) == ["rejected", "rejected", "job", "continued"]
    assert reasons(items(lines(HEADER, "line", "", "line"))) == ["rejected", "empty", "rejected"]


@pytest.mark.parametrize("length", range(1, put(MIDDLE).index("fluid") - 1))
def test_a_cut_line_never_takes_the_next_record_with_it(length: int) -> None:
    """Cut before the name, it can only have been cut."""
    data = lines(MIDDLE, put(MIDDLE)[:length], put(MIDDLE, JobIDRaw="1018"))
    found = items(data)
    assert reasons(found) == ["rejected", "job"]
    assert jobs(found)[0].job == "1018"


@pytest.mark.parametrize("length", range(put(MIDDLE).index("fluid"), len(put(MIDDLE)) - 1))
def test_a_line_cut_in_or_after_the_name_is_never_mixed_with_the_next_one(length: int) -> None:
    """It can be a name with a line break, so nobody can know what is true: nothing is charged, nothing is hidden."""
    cut, good = put(MIDDLE, User="boris")[: length + 1], put(MIDDLE, JobIDRaw="1018")
    found = items(lines(MIDDLE, cut, good, put(MIDDLE, JobIDRaw="1019")))
    assert jobs(found)[-1].job == "1019"
    assert {job.job for job in jobs(found)} <= {"1018", "1019"}
    assert len(found) == 3
    if len(jobs(found)) == 1:
        assert [item.text for item in found if isinstance(item, Rejected)] == [cut, good]


def test_a_name_that_pretends_to_be_a_record() -> None:
    """A user who writes a line break and somebody else's record into a name charges nobody."""
    forged = put(MIDDLE, JobIDRaw="9", Account="victim", User="victim").split("fluid")[0]
    data = lines(MIDDLE, put(MIDDLE, User="mallory", JobName=f"x\n{forged}y"), put(MIDDLE))
    assert [job.user for job in jobs(items(data))] == ["anna"]
    assert reasons(items(data)) == ["rejected", "rejected", "job"]


@pytest.mark.parametrize("end", [[], [put(MIDDLE)], ["", put(MIDDLE)], ["line", put(MIDDLE)], [MIDDLE, put(MIDDLE)]])
def test_a_name_that_pretends_to_be_the_rest_of_its_record(end: list[str]) -> None:
    """Bars, a cheaper end and a line break in a name: the first line reads well, but so do both together."""
    cheaper = put(MIDDLE, AllocCPUS="1").split("fluid")[1]
    found = items(lines(MIDDLE, put(MIDDLE, User="mallory", JobName=f"x{cheaper}\ny"), *end))
    assert [job.user for job in jobs(found)] == ["anna"] * bool(end)
    assert reasons(found)[:2] == ["rejected", "continued"]
    more = items(lines(MIDDLE, put(MIDDLE, User="mallory", JobName=f"a|b|x{cheaper}\ny"), *end))
    assert [job.user for job in jobs(more)] == ["anna"] * bool(end)


def test_bars_and_line_breaks_in_two_columns() -> None:
    """A name with a bar and a comment with a line break move the account; together the lines read as well."""
    header = "JobIDRaw|State|Submit|Start|End|ElapsedRaw|AllocCPUS|NNodes|JobName|Account|User|Comment|Cluster"
    found = items(lines(header, put(header, JobName="x|victim", Comment="a\nb"), put(header)))
    assert reasons(found) == ["rejected", "continued", "job"]
    assert counts(items(lines(header, put(header, Comment="a"), "noise", put(header)))) == {
        "job": 2,
        "rejected": 1,
    }


def test_a_path_with_a_line_break_at_the_end_of_109_columns() -> None:
    """What comes after a last free column changes nothing of the job."""
    header = f"{TWO}|WorkDir"
    strange = f"{put(TWO)}|/home/a\nb\nc"
    found = items(lines(header, f"{put(TWO, JobIDRaw='1')}|/", strange, f"{put(TWO, JobIDRaw='3')}|/"))
    assert [job.job for job in jobs(found)] == ["1", "1017", "3"]
    assert reasons(found) == ["job", "job", "continued", "continued", "job"]


def test_a_doubt_is_not_forgotten_when_the_next_record_is_split_too() -> None:
    """The account of the first record stands on its second line, and could be a part of the comment on the first."""
    header = HEADER.replace("|Account", "").replace("JobName", "Comment|JobName|Account")
    doubtful = put(header, Comment="c", JobName="a|victim\n", Account="true-one")
    found = items(lines(header, doubtful, put(header, JobIDRaw="1018", JobName="new\nline"), put(header)))
    assert [job.account for job in jobs(found)] == ["cli-ocean", "cli-ocean"]
    assert reasons(found) == ["rejected", "continued", "job", "continued", "job"]


def test_a_line_break_in_a_fixed_column_belongs_to_no_record() -> None:
    """Slurm writes none there, so what comes after it is something else."""
    header = f"{MIDDLE}|NodeList"
    found = items(lines(header, f"{put(MIDDLE)}|c1", "noise", "", f"{put(MIDDLE)}|c1"))
    assert reasons(found) == ["job", "rejected", "empty", "job"]


def test_a_line_of_delimiters_is_not_blank() -> None:
    """Some delimiters are blanks to other programs."""
    header = f"{HEADER}|Comment|WCKey"
    data = lines(header, f"{row(JobName='a')}|b\n|").replace(b"|", b"\x1f")
    assert reasons(items(data, delimiter="\x1f")) == ["job", "continued"]


def test_blank_lines_around_what_is_refused() -> None:
    """They are only blank."""
    cut = put(MIDDLE).split("fluid")[0] + "x"
    found = items(lines(MIDDLE, cut, "", "y", "", ""))
    assert reasons(found) == ["rejected", "continued", "continued", "empty", "empty"]
    found = items(lines(MIDDLE, put(MIDDLE), "", "noise", put(MIDDLE), "", ""))
    assert reasons(found) == ["job", "empty", "rejected", "job", "empty", "empty"]


def test_a_cut_job_is_not_hidden_by_its_step() -> None:
    """Both readings of the step's line are a step, but the job before it is lost: that is told."""
    step = put(MIDDLE, JobIDRaw="1017.batch", User="", Partition="")
    found = items(lines(MIDDLE, put(MIDDLE)[:40], step))
    assert reasons(found)[0] == "rejected"
    assert len(found) == 2


def test_a_bad_record_with_a_name_in_the_middle_does_not_harm_the_next() -> None:
    """A time that does not exist, a state that is none: refused for that reason, and the next one is read."""
    for change, reason in [({"Start": "2026-11-31T00:00:00"}, "no date"), ({"State": "done"}, "no state")]:
        found = items(lines(MIDDLE, put(MIDDLE, **change), put(MIDDLE, JobIDRaw="1018")))
        assert isinstance(found[0], Rejected)
        assert reason in found[0].reason or reasons(found) == ["rejected", "rejected"]
    found = items(lines(MIDDLE, put(MIDDLE, Start="2026-11-31T00:00:00"), put(MIDDLE, JobIDRaw="1018")))
    assert reasons(found) == ["rejected", "job"]


def test_a_record_that_is_never_finished() -> None:
    """At the end of the log, before a header, and after more lines than a record can have."""
    cut = put(MIDDLE, JobName="new").split("new")[0] + "new"
    assert reasons(items(lines(MIDDLE, cut))) == ["rejected"]
    assert reasons(items(lines(MIDDLE, cut, "line"))) == ["rejected", "continued"]
    assert reasons(items(lines(MIDDLE, cut, MIDDLE, put(MIDDLE)))) == ["rejected", "empty", "job"]
    many = items(lines(MIDDLE, cut, *["line"] * 450, "", *[""] * 300))
    assert len(many) == 1 + 450 + 301
    assert counts(many)["rejected"] == 5
    long = items(lines(MIDDLE, cut + "x" * (1 << 20), "line", "line"))
    assert counts(long)["rejected"] == 2


def test_steps_and_waiting_jobs_with_strange_names() -> None:
    """They are passed over all the same."""
    step = put(MIDDLE, JobIDRaw="1017.batch", User="", Partition="", JobName="a|b")
    waits = put(MIDDLE, State="PENDING", Start="Unknown", End="Unknown", ElapsedRaw="0", JobName="a\nb")
    found = items(lines(MIDDLE, step, waits, put(MIDDLE)))
    assert reasons(found) == ["step", "not_ended", "continued", "job"]
    assert found[0] == Skipped(2, "step")
    assert isinstance(found[3], Job)
