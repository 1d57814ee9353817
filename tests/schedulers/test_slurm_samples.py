"""What a real cluster's records come to: the same sums that Slurm itself reports."""

from collections import Counter

import pytest

from dca.core.errors import UsageError
from tests.schedulers.reading import HEADER, core_seconds, counts, items, jobs, lines, reasons, rejected, row, sample

SREPORT_SECONDS = 3392


def test_core_seconds_are_those_that_sreport_counted() -> None:
    """The hour 00:00 to 01:00 of sreport, in all and for each user of each account."""
    found = items(sample("sacct-t5-final.txt"))
    sums: Counter[tuple[str, str]] = Counter()
    for job in jobs(found):
        sums[job.account, job.user] += job.elapsed * job.cores
    told = {}
    for line in sample("sreport-AccountUtilizationByUser-seconds.txt").decode().splitlines():
        fields = line.split("|")
        if len(fields) == 6 and fields[2]:
            told[fields[1].strip(), fields[2]] = fields[4]
    del told["Account", "Login"]
    assert {key: str(value) for key, value in sums.items()} == told
    assert core_seconds(found) == SREPORT_SECONDS


def test_every_line_of_a_log_is_accounted_for() -> None:
    """Jobs, steps, the line break in a name, and what did not start or end: 429 lines below the header."""
    found = items(sample("sacct-t5-final.txt"))
    assert counts(found) == {"job": 178, "step": 243, "continued": 1, "never_started": 3, "not_ended": 4}
    assert [item.line for item in found] == list(range(2, 431))


@pytest.mark.parametrize(
    ("name", "delimiter"),
    [
        ("sacct-t5-final-all-fields.txt", "|"),
        ("sacct-t5-final-delimiter-1f.txt", "\x1f"),
        ("sacct-t5-final-jobs-only-all-states.txt", "|"),
    ],
)
def test_the_same_jobs_come_out_of_every_form(name: str, delimiter: str) -> None:
    """109 columns with bars in comments, another delimiter, and all states hold the jobs of the plain log."""
    wanted = jobs(items(sample("sacct-t5-final.txt")))
    found = jobs(items(sample(name), delimiter=delimiter))
    assert [job[2:10] for job in found] == [job[2:10] for job in wanted]
    assert [job.state for job in found] == [job.state for job in wanted]


def test_all_109_columns_are_read_to_the_last_record() -> None:
    """Bars in Comment and SubmitLine, and one record on three lines, leave nothing behind."""
    found = items(sample("sacct-t5-final-all-fields.txt"))
    assert counts(found) == {"job": 178, "step": 243, "continued": 2, "never_started": 3, "not_ended": 4}
    assert core_seconds(found) == SREPORT_SECONDS
    broken = next(job for job in jobs(found) if job.job == "1026")
    assert (broken.line, broken.user, broken.elapsed, broken.cores) == (45, "dmitri", 2, 1)
    assert broken.text.count("\n") == 2


def test_json_and_text_say_the_same() -> None:
    """One job of each kind, out of --json and out of --format=ALL."""
    from_json = items(sample("sacct-sample.json"))
    from_text = items(sample("sacct-sample-all-fields.txt"))
    assert counts(from_json) == {"job": 20, "not_ended": 2, "never_started": 1}
    assert {job[1:13] for job in jobs(from_json)} == {job[1:13] for job in jobs(from_text)}


def test_without_duplicates_the_earlier_runs_are_missing() -> None:
    """Each record of a requeued job is a job of its own, told apart by Submit; without -D they are not in the log."""
    found = jobs(items(sample("sacct-t5-final.txt")))
    last_only = jobs(items(sample("sacct-t5-final-nodup.txt")))
    keys = {(job.cluster, job.job, job.submit) for job in found}
    assert len(keys) == len(found)
    assert Counter(job.job for job in found)["1182"] == 2
    missing = keys - {(job.cluster, job.job, job.submit) for job in last_only}
    assert sorted(job.state for job in found if (job.cluster, job.job, job.submit) in missing) == [
        "NODE_FAIL",
        "REQUEUED",
        "REQUEUED",
    ]
    assert core_seconds(last_only) < SREPORT_SECONDS


def test_states_are_one_word() -> None:
    """CANCELLED by 1011 is CANCELLED; a requeued or failed run that ended is a job."""
    states = Counter(job.state for job in jobs(items(sample("sacct-t5-final.txt"))))
    assert states == {
        "COMPLETED": 136,
        "FAILED": 26,
        "CANCELLED": 6,
        "TIMEOUT": 3,
        "NODE_FAIL": 3,
        "REQUEUED": 2,
        "OUT_OF_MEMORY": 2,
    }


def test_array_tasks_and_hetjobs_have_numbers_of_their_own() -> None:
    """JobIDRaw names them: 1013_2 is 1169, the last task keeps 1013, 1014+1 is 1015."""
    found = jobs(items(sample("sacct-t5-final.txt")))
    texts = {job.job: job.text.split("|")[0] for job in found}
    assert (texts["1169"], texts["1013"], texts["1014"], texts["1015"]) == ("1013_2", "1013_6", "1014+0", "1014+1")


def test_a_suspended_job_is_charged_for_the_time_it_ran() -> None:
    """Eleven seconds from Start to End, eight of them suspended."""
    job = next(job for job in jobs(items(sample("sacct-t5-final.txt"))) if job.job == "1179")
    assert (job.end - job.start, job.elapsed) == (11, 3)


def test_running_and_pending_jobs_wait_for_a_later_log() -> None:
    """A log taken too early passes over them; a later one brings them."""
    early = items(sample("sacct-t1-running.txt"))
    assert counts(early) == {"job": 163, "step": 222, "not_ended": 6, "continued": 1, "never_started": 2}
    assert {job.job for job in jobs(early)} <= {job.job for job in jobs(items(sample("sacct-t5-final.txt")))}


def test_a_dead_node_ends_jobs() -> None:
    """NODE_FAIL has an end and is charged up to it."""
    failed = [job for job in jobs(items(sample("sacct-t3-node-dead.txt"))) if job.state == "NODE_FAIL"]
    assert [(job.job, job.elapsed) for job in failed] == [("1181", 35), ("1182", 35), ("1183", 35)]


def test_a_lost_end_is_no_job_until_slurm_repairs_it() -> None:
    """RUNNING for ever is skipped; with the true end it costs, after Slurm's own repair it has 0 s."""
    stuck = items(sample("sacct-t6-stuck-running.txt"))
    true = items(sample("sacct-t6b-last-two-completed.txt"))
    repaired = items(sample("sacct-t7-after-runaway-fix.txt"))
    assert counts(stuck)["not_ended"] == 2
    assert core_seconds(true) == core_seconds(stuck) + 4 * 2 + 5 * 1
    assert core_seconds(repaired) == core_seconds(stuck)
    zero = {(job.job, job.elapsed) for job in jobs(repaired)} - {(job.job, job.elapsed) for job in jobs(true)}
    assert zero == {("1007", 0), ("1008", 0)}


def test_a_job_number_that_came_again_is_another_job() -> None:
    """After the controller lost its state it counted from 1001 once more."""
    found = [job for job in jobs(items(sample("sacct-t6b-last-two-completed.txt"))) if job.job == "1001"]
    assert len({job.submit for job in found}) == len(found) == 2


@pytest.mark.parametrize(
    ("name", "zone"), [("sacct-t5-final-epoch.txt", "UTC"), ("sacct-t5-final-tz-new-york.txt", "America/New_York")]
)
def test_epoch_and_local_times_mean_the_same_moments(name: str, zone: str) -> None:
    """These two samples hold times only; user, account and size are put beside them."""
    wanted = jobs(items(sample("sacct-t5-final.txt")))
    header, *rows = sample(name).decode().splitlines()
    log = lines(f"{header}|User|Account|AllocCPUS|NNodes", *(f"{row}|anna|cli-ocean|1|1" for row in rows))
    found = jobs(items(log, zone=zone))
    times = {(job.job, job.submit, job.start, job.end, job.elapsed) for job in found}
    assert {(job.job, job.submit, job.start, job.end, job.elapsed) for job in wanted} <= times


def test_the_table_for_people_is_refused() -> None:
    """Without -P sacct cuts names, so nothing in it can be charged."""
    with pytest.raises(UsageError, match="-P"):
        items(sample("sacct-default-columns.txt"))


def test_steps_never_count() -> None:
    """All lines with a dot in JobIDRaw are steps of jobs that are in the log themselves."""
    data = sample("sacct-t5-final.txt")
    dotted = [line.split("|")[1] for line in data.decode().splitlines() if "." in line.split("|")[0]]
    assert reasons(items(data)).count("step") == len(dotted)


SHORT = ("sacct-t5-final-units-M.txt", "sacct-t5-final-noconvert.txt", "sacct-t6-state-running-now.txt")


@pytest.mark.parametrize("name", SHORT)
def test_a_log_without_the_columns_that_count_is_refused(name: str) -> None:
    """The sentence names them, and how to take the log."""
    with pytest.raises(UsageError, match=r"the log lacks .*Submit.* User; take it with: sacct -a -D -X -P --format="):
        items(sample(name))


def test_units_of_memory_say_nothing_about_cores() -> None:
    """--units and --noconvert write AllocTRES in other ways: 64M, 67108864, 0.06G; cpu and node stay as they are."""
    found = []
    for name in SHORT[:2]:
        table = [line.split("|") for line in sample(name).decode().splitlines()]
        records = [record for record in table[1:] if "." not in record[0] and "node=" in record[-1]]
        header = HEADER.replace("AllocCPUS|NNodes", "AllocTRES")
        texts = [row(AllocCPUS=record[-1]).replace(f"{record[-1]}|1|", f"{record[-1]}|") for record in records]
        found.append([(job.cores, job.nodes) for job in jobs(items(lines(header, *texts)))])
    assert found[0] == found[1]
    assert len(found[0]) > 150
    assert {cores for cores, _ in found[0]} >= {1, 2, 4}


EARLIER = {
    "sacct-t1-running-jobs-only.txt": {"job": 163, "not_ended": 6, "continued": 1, "never_started": 2},
    "sacct-t2-before-node-death.txt": {"job": 163, "step": 222, "not_ended": 6, "continued": 1, "never_started": 2},
    "sacct-t4-before-cancel.txt": {"job": 168, "step": 230, "not_ended": 7, "continued": 1, "never_started": 3},
}


@pytest.mark.parametrize("name", EARLIER)
def test_what_an_earlier_log_charges_a_later_one_knows(name: str) -> None:
    """Its jobs have the same key, time and cores in the final log, so that overlapping imports change nothing."""
    found = items(sample(name))
    assert counts(found) == EARLIER[name]
    assert {job[1:11] for job in jobs(found)} < {job[1:11] for job in jobs(items(sample("sacct-t5-final.txt")))}


def test_a_window_into_the_future_holds_the_same_jobs() -> None:
    """-E in the future brings pending jobs as well, which cost nothing."""
    found = items(sample("sacct-t5-final-jobs-only-window-into-future.txt"))
    assert counts(found) == {"job": 178, "continued": 1, "never_started": 8, "not_ended": 4}
    assert core_seconds(found) == SREPORT_SECONDS


def test_the_last_two_jobs_come_when_they_have_ended() -> None:
    """RUNNING in one log, COMPLETED in the next: two jobs more, and nothing else."""
    running, ended = (
        jobs(items(sample("sacct-t6a-last-two-running.txt"))),
        jobs(items(sample("sacct-t6b-last-two-completed.txt"))),
    )
    more = {job[1:11] for job in ended} - {job[1:11] for job in running}
    assert sorted(job[1] for job in more) == ["1007", "1008"]


def test_a_time_beyond_all_jobs_is_told_as_that() -> None:
    """It is a number, but none that a job can take."""
    found = rejected(lines(HEADER, row(ElapsedRaw="1000000000000")))
    assert "ElapsedRaw '1000000000000' is no number of seconds that a job can take" in found
