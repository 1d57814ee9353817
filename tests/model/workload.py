"""The random commands: mostly possible ones, often right at a limit, and some that no books would take."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from tests.model.steps import Run, Step

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random

    from dca.core.model import Project, Tenant
    from dca.store.memory import MemoryStore

MICRO = 1_000_000
SECOND = 1_000
HOUR = 3_600 * SECOND
DAY = 24 * HOUR

TENANTS = ("Acme", "beta", "Gamma7")
PROJECTS = ("p1", "P2", "p3", "Deep", "water5", "q")
USERS = ("anna", "Bob", "carl7", "dora")
WIDE = ("an-na", "proj_x", "d@site.org")
"""Names that only the extended rule allows."""
BAD = ("", "two words", "x" * 65, "-p", "käse", "a:b")
ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "America/Havana",
    "Asia/Beirut",
)
BEGINS = ("2026-03-27", "2026-10-23", "2025-12-30", "2024-02-27", "2011-12-28", "1974-01-02")
RATES = ("0", "0.36", "1", "3600", "0.000001", "12.345678", "7", "0.05", "250")
SECONDS = (0, 1, 7, 59, 600, 1800, 3600, 3601, 5400, 86_400, 864_000)
HUGE_SECONDS = (10**9, 3 * 10**11, 10**12, 10**12 + 1)
BAD_NUMBERS = ("-5", "1.2345678", "abc", "1,5", "", "8000000000.000001", "1e3", "0x10", "١")

WEIGHTS = {
    "tenant add": 3,
    "tenant modify": 4,
    "tenant payment": 9,
    "tenant disable": 0.6,
    "project add": 6,
    "project disable": 1.2,
    "project movebudget": 15,
    "user add": 7,
    "user delete": 3,
    "rate set": 4,
    "transaction reservebudget": 16,
    "transaction charge": 16,
    "transaction release": 3,
    "job import": 6,
    "job undo": 4,
    "setup": 1,
    "list": 4,
    "project show": 3,
    "transaction holds": 3,
    "transaction list": 5,
    "bill generate": 7,
    "log list": 5,
    "rate get": 1,
}
PRELUDE = (
    "setup", "rate set", "tenant add", "tenant payment", "project add", "user add", "tenant add", "tenant payment",
    "project add", "project add", "user add", "user add", "user add",
)  # fmt: skip
CALM = 0.04
"""How often a name or an amount is drawn that nobody would mean."""
QUESTIONS = {"list", "project show", "transaction holds", "transaction list", "bill generate", "log list", "rate get"}
SESSIONS = {"transaction release", "job import", "job undo", "setup"}


@dataclass
class Manner:
    """What sets one history apart from another."""

    begin: int
    length: int
    weights: dict[str, float]
    zone: str
    names: str
    small: bool
    """Whether commands of many records work in small portions."""
    huge: bool
    """Whether amounts near the most that dca can hold occur."""
    wipes: bool
    runs: tuple[Run, ...]
    """The jobs that schedulers and hooks tell of."""

    @classmethod
    def of(cls, rng: Random) -> Manner:
        """Draw one."""
        begin = int(datetime.fromisoformat(rng.choice(BEGINS)).replace(tzinfo=UTC).timestamp()) * SECOND
        begin += rng.randrange(3 * DAY)
        weights = {words: weight * rng.choice((0.2, 1, 1, 1, 3)) for words, weight in WEIGHTS.items()}
        small, zone = rng.random() < 0.5, rng.choice(ZONES)
        accounts = (*PROJECTS, *(() if small else WIDE[:1] * (rng.random() < 0.3)))
        users = (*USERS, *(() if small else WIDE[:1] * (rng.random() < 0.3)))
        return cls(
            begin=begin,
            length=rng.randrange(40, 90) + (rng.random() < 0.1) * rng.randrange(90),
            weights=weights,
            zone=zone,
            names=rng.choice(("", "", "strict", "extended")),
            small=small,
            huge=rng.random() < 0.15,
            wipes=rng.random() < 0.1,
            runs=tuple(_run(rng, begin // SECOND, zone, accounts, users) for _ in range(rng.randrange(6, 30))),
        )


def _run(rng: Random, begin: int, zone: str, accounts: Sequence[str], users: Sequence[str]) -> Run:
    elapsed, pause = rng.choice((0, 1, 7, 59, 600, 600, 1800, 3600, 5400, 86_400)), rng.choice((0, 0, 0, 30))
    start = begin + rng.randrange(-6 * 86_400, 86_400)
    if rng.random() < 0.3:  # ends at midnight, or a second before
        day = datetime.fromtimestamp(start, ZoneInfo(zone)).date()
        midnight = datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(zone))
        start = int(midnight.timestamp()) - elapsed - pause - rng.choice((0, 0, 1))
    return Run(
        cluster=rng.choice(("", "", "c1", "C1", "north")),
        job=str(rng.randrange(1, 6)),
        account=_cased(rng, rng.choice(accounts)),
        user=_cased(rng, rng.choice(users)),
        submit=start - rng.randrange(10_000),
        start=start,
        elapsed=elapsed,
        cores=rng.choice((1, 1, 1, 2, 3, 16)),
        nodes=rng.choice((0, 1, 1, 2)),
        pause=pause,
    )


def _cased(rng: Random, name: str) -> str:
    return rng.choice((name, name, name, name.upper(), name.lower()))


def dollars(micro: int) -> str:
    """Write micro-dollars as a user might."""
    whole, fraction = divmod(max(0, micro), MICRO)
    return f"{whole}.{fraction:06d}".rstrip("0").rstrip(".") if fraction else str(whole)


@dataclass
class Workload:
    """Draws one step after the other, looking at the books so that most steps make sense."""

    manner: Manner
    store: MemoryStore
    keyed: list[Step] = field(default_factory=list)
    done: list[Step] = field(default_factory=list)
    marks: dict[str, str] = field(default_factory=dict)
    now: int = 0

    def step(self, rng: Random, number: int) -> Step:
        """Draw the step of that number; all chance comes from rng."""
        if number >= len(PRELUDE) and self.done and rng.random() < 0.05:
            step = rng.choice(self.done)
        elif number < len(PRELUDE):
            step = self._of(PRELUDE[number], rng, prelude=True)
        else:
            words = rng.choices(list(self.manner.weights), list(self.manner.weights.values()))[0]
            step = self._of(words, rng)
        times: dict[str, Any] = self._times(rng, step.words)
        step = step._replace(**times)
        self.done.append(step)
        if step.key:
            self.keyed.append(step)
        return step

    def _times(self, rng: Random, words: str) -> dict[str, int]:
        advance = rng.choice((0, 0, 1, 5, 999, SECOND, 60 * SECOND, HOUR, 7 * HOUR))
        if rng.random() < 0.03:
            advance = rng.randrange(3 * DAY)
        lag = rng.choice((0, 0, 0, 0, 1, 2_500, 299_000))
        if words not in SESSIONS and rng.random() < 0.02:
            lag = rng.choice((300_001, 300_500, HOUR))
        return {"advance": advance, "lag": lag}

    def _of(self, words: str, rng: Random, *, prelude: bool = False) -> Step:
        drawn = getattr(self, "_" + words.replace(" ", "_"))(rng)
        step = drawn if isinstance(drawn, Step) else Step(words, drawn)
        if prelude or words in QUESTIONS:
            return step
        if rng.random() < 0.03 and "--wipe" not in step.options:
            return step._replace(dry_run=True)
        if rng.random() < 0.12 and words != "setup":
            return self._keyed(rng, step)
        return self._spoiled(rng, step) if rng.random() < 0.03 else step

    def _keyed(self, rng: Random, step: Step) -> Step:
        if self.keyed and rng.random() < 0.4:
            again = rng.choice(self.keyed)
            return again if rng.random() < 0.6 else step._replace(key=again.key)
        return step._replace(key=f"once-{rng.randrange(30)}")

    def _spoiled(self, rng: Random, step: Step) -> Step:
        """Return the step with a number that is none."""
        numbers = ("--credit", "--balance", "--payment", "--rate", "--estimate", "--jobtime", "--cores", "--older-than")
        spoilt = [name for name in step.options if name in numbers]
        if not spoilt:
            return step
        bad = rng.choice(BAD_NUMBERS)
        return step._replace(options={**step.options, rng.choice(spoilt): bad}, malformed=True)

    # -- names and amounts ---------------------------------------------------------------------------------------

    def _odd(self, rng: Random) -> bool:
        """Tell whether something odd is to be drawn; not while the books are being opened."""
        return len(self.done) >= len(PRELUDE) and rng.random() < CALM

    def _there(self, kind: str) -> list[Any]:
        """Return the records of a kind, those that are disabled or closed now and then left out."""
        return list(self.store.records[kind].values())

    def _enabled(self, rng: Random, records: list[Any]) -> list[Any]:
        """Mostly leave out what is disabled."""
        lively = [one for one in records if one.state != "disabled"]
        return lively if lively and rng.random() < 0.9 else records

    def _tenant(self, rng: Random) -> str:
        there = self._enabled(rng, self._there("tenant"))
        if there and not self._odd(rng):
            return _cased(rng, rng.choice(there).name)
        return rng.choice((*TENANTS, "nobody", *BAD)) if self._odd(rng) else rng.choice(TENANTS)

    def _project(self, rng: Random, tenant: str = "") -> str:
        there = [one for one in self._there("project") if tenant.lower() in ("", one.tenant)]
        if there and not self._odd(rng):
            return _cased(rng, rng.choice(self._enabled(rng, there)).name)
        return rng.choice((*PROJECTS, "nothing", *BAD)) if self._odd(rng) else rng.choice(PROJECTS)

    def _rich(self, rng: Random) -> str:
        """Draw a project, mostly one that can afford something."""
        there = [
            one for one in self._there("project") if one.balance + one.credit > one.requested and one.state == "enabled"
        ]
        return _cased(rng, rng.choice(there).name) if there and rng.random() < 0.8 else self._project(rng)

    def _user(self, rng: Random, project: str) -> str:
        there = [one for one in self._there("association") if one.project == project.lower()]
        if there and rng.random() < 0.93:
            return _cased(rng, rng.choice(there).name)
        return rng.choice((*USERS, *WIDE, "")) if self._odd(rng) else _cased(rng, rng.choice(USERS))

    def _new(self, rng: Random, pool: Sequence[str], taken: Sequence[str]) -> str:
        """Draw a name from a pool, mostly one that is not taken and that the rule allows."""
        if self._odd(rng):
            return rng.choice((*pool, *WIDE, *BAD))
        site: Any = self.store.records["site"].get("site")
        wide = WIDE if site is not None and site.names == "extended" else ()
        free = [name for name in (*pool, *wide) if name.lower() not in taken]
        chosen: str = rng.choice(free if free and rng.random() < 0.9 else [*pool, *wide])
        return chosen

    def _figures(self, project: str) -> tuple[Project | None, Tenant | None]:
        found: Any = self.store.records["project"].get(project.lower())
        tenant: Any = self.store.records["tenant"].get(found.tenant) if found else None
        return found, tenant

    def _amount(self, rng: Random, *limits: int) -> str:
        """Draw an amount: a part of a limit, exactly a limit, one micro-dollar beside it, or anything."""
        if self.manner.huge and rng.random() < 0.15:
            return rng.choice(("8000000000", "7999999999.999999", "4000000000"))
        limit = rng.choice(limits) if limits else 0
        if limit > 0 and rng.random() < 0.9:
            exact = limit + rng.choice((0, 0, 0, 1, -1))
            return dollars(rng.choice((exact, limit // 2, rng.randrange(limit + 1), rng.randrange(limit // 4 + 1))))
        if rng.random() < 0.1:
            return rng.choice(("0", "0.000001", "99.999999"))
        return dollars(rng.randrange(1, 100) * 10 ** rng.randrange(5, 10))

    def _seconds(self, rng: Random) -> str:
        return str(rng.choice(HUGE_SECONDS)) if rng.random() < 0.02 else str(rng.choice(SECONDS))

    def _sometimes(self, rng: Random, name: str, value: str, chance: float = 0.4) -> dict[str, str]:
        return {name: value} if value and rng.random() < chance else {}

    # -- commands that change ------------------------------------------------------------------------------------

    def _setup(self, rng: Random) -> dict[str, str | bool]:
        options: dict[str, str | bool] = {}
        if not self.done:
            options |= {"--timezone": self.manner.zone}
            return {**options, "--names": self.manner.names} if self.manner.names else options
        if self.manner.wipes and rng.random() < 0.5:
            return {"--wipe": True, "--yes": True}
        options |= self._sometimes(rng, "--timezone", rng.choice(ZONES))
        options |= self._sometimes(rng, "--names", rng.choice(("strict", "strict", "extended")), 0.3)
        return {**options, **self._sometimes(rng, "--cluster", rng.choice(("north", "c1")))}

    def _tenant_add(self, rng: Random) -> dict[str, str]:
        name = self._new(rng, TENANTS, list(self.store.records["tenant"]))
        return {"--tenant": name, **self._sometimes(rng, "--credit", self._amount(rng), 0.7)}

    def _tenant_modify(self, rng: Random) -> dict[str, str]:
        tenant = self._tenant(rng)
        found: Any = self.store.records["tenant"].get(tenant.lower())
        limits = (found.allocated_credit, found.allocated_credit * 2, found.credit) if found else ()
        return {"--tenant": tenant, "--credit": self._amount(rng, *limits)}

    def _tenant_payment(self, rng: Random) -> dict[str, str]:
        tenant = self._tenant(rng)
        reference = self._sometimes(rng, "--reference", rng.choice(("inv 1", "inv 2", "Zahlung für März")), 0.3)
        return {"--tenant": tenant, "--payment": self._amount(rng), **reference}

    def _tenant_disable(self, rng: Random) -> dict[str, str]:
        return {"--tenant": self._tenant(rng)}

    def _project_add(self, rng: Random) -> dict[str, str]:
        tenant = self._tenant(rng)
        found: Any = self.store.records["tenant"].get(tenant.lower())
        options = {"--project": self._new(rng, PROJECTS, list(self.store.records["project"])), "--tenant": tenant}
        balance, credit = self._free(found) if found else (0, 0)
        options |= self._sometimes(rng, "--balance", self._amount(rng, balance), 0.7 * (balance > 0))
        return {**options, **self._sometimes(rng, "--credit", self._amount(rng, credit), 0.5 * (credit > 0))}

    def _free(self, tenant: Tenant) -> tuple[int, int]:
        """Return what a tenant has not earmarked yet."""
        return tenant.balance - tenant.allocated_balance, tenant.credit - tenant.allocated_credit

    def _project_disable(self, rng: Random) -> dict[str, str]:
        return {"--project": self._project(rng)}

    def _project_movebudget(self, rng: Random) -> dict[str, str]:
        project = self._project(rng)
        found, tenant = self._figures(project)
        free = found.balance + found.credit - found.requested if found else 0
        way = rng.choice(("t2p", "t2p", "p2t", "p2p") if free > 0 else ("t2p", "t2p", "t2p", "p2t"))
        if found is None or tenant is None:
            return {"--from": self._tenant(rng), "--to": project, "--balance": "1", "--type": way}
        owner = self._tenant(rng) if self._odd(rng) else tenant.name
        siblings = [one.name for one in self._there("project") if one.tenant == tenant.id and one.id != found.id]
        other = rng.choice(siblings) if siblings and not self._odd(rng) else self._project(rng)
        ends = {"t2p": (owner, project), "p2t": (project, owner), "p2p": (project, other)}[way]
        if way == "t2p":
            balance, credit = self._free(tenant)
            limits: dict[str, tuple[int, ...]] = {
                "--balance": (balance - min(0, found.balance),),
                "--credit": (credit,),
            }
        else:
            limits = {"--balance": (found.balance, free), "--credit": (found.credit, free - found.balance)}
        names = [name for name, most in limits.items() if max(most) > 0] or list(limits)
        chosen = names if rng.random() < 0.3 else [rng.choice(names)]
        amounts = {name: self._amount(rng, *(most for most in limits[name] if most > 0)) for name in chosen}
        return {"--from": ends[0], "--to": ends[1], **({} if self._odd(rng) else amounts), "--type": way}

    def _user_add(self, rng: Random) -> dict[str, str]:
        project = self._project(rng)
        there = [
            one.user for one in self._there("association") if one.project == project.lower() and one.state == "active"
        ]
        return {"--project": project, "--user": _cased(rng, self._new(rng, USERS, there))}

    def _user_delete(self, rng: Random) -> dict[str, str]:
        project = self._project(rng)
        return {"--project": project, "--user": self._user(rng, project)}

    def _rate_set(self, rng: Random) -> dict[str, str]:
        return {"--rate": rng.choice(RATES[1:] if len(self.done) < len(PRELUDE) else RATES)}

    def _job(self, rng: Random) -> tuple[str, Run | None]:
        """Draw a job key: of a job that the scheduler's log will tell of, or another."""
        if rng.random() < 0.75:
            run = rng.choice(self.manner.runs)
            return run._replace(cluster=run.cluster or "cluster").key, run
        return rng.choice(("k1", "k2", "a/b/c", "k 3" if rng.random() < 0.2 else "k4")), None

    def _transaction_reservebudget(self, rng: Random) -> Step:
        project, job, bad = self._rich(rng), "", False
        options: dict[str, str | bool] = {}
        if rng.random() < 0.45:
            job, run = self._job(rng)
            project = run.account if run is not None and rng.random() < 0.6 else project
            options["--job"], bad = job, " " in job
        options |= {"--project": project, "--estimate": self._fitting(rng, project)}
        options |= self._sometimes(rng, "--cores", rng.choice(("1", "2", "16")), 0.3)
        options |= self._sometimes(rng, "--user", self._user(rng, project))
        return Step("transaction reservebudget", options, malformed=bad)

    def _fitting(self, rng: Random, project: str) -> str:
        """Draw an estimate: mostly what the project can afford, now and then just so."""
        found, _ = self._figures(project)
        rate = int(getattr(self.store.records["site"].get("site"), "rate", 0))
        if found is None or not rate or rng.random() < 0.2:
            return self._seconds(rng)
        most = min(10**7, max(0, found.balance + found.credit - found.requested) * 3600 // rate)
        exact = most + rng.choice((0, 0, 1))
        likely = [seconds for seconds in SECONDS if seconds * 4 <= most] or [0]
        return str(rng.choice((exact, most // 2, rng.choice(likely), rng.choice(likely))))

    def _transaction_charge(self, rng: Random) -> Step:
        project, bad, seconds = self._project(rng), False, self._seconds(rng)
        options: dict[str, str | bool] = {}
        holds = [one for one in self._there("hold") if one.state == "open"]
        if rng.random() < 0.25:
            job, run = self._job(rng)
            options["--job"], bad = job, " " in job
            project = run.account if run is not None and rng.random() < 0.8 else project
        elif holds and rng.random() < 0.8:
            hold = rng.choice(holds)
            project = hold.project
            options |= {"--job": hold.job} if hold.job else {"--estimate": str(hold.estimate)}
            seconds = str(hold.estimate * rng.choice((0, 50, 99, 100, 100, 101, 300)) // 100)
        else:
            options |= self._sometimes(rng, "--estimate", self._seconds(rng), 0.5)
        options |= {"--project": project, "--user": self._user(rng, project), "--jobtime": seconds}
        options |= self._sometimes(rng, "--cores", rng.choice(("1", "3", "64")), 0.2)
        if rng.random() < 0.3:
            second = self.now // SECOND - rng.choice((0, 5, 3600, 86_400, 10**6, 299, -299, -301, -(10**7)))
            options["--start"] = str(max(0, second))
        return Step("transaction charge", options, malformed=bad)

    def _transaction_release(self, rng: Random) -> dict[str, str | bool]:
        if rng.random() < 0.2:
            options: dict[str, str | bool] = {"--all": True, "--older-than": rng.choice(("0", "1", "2"))}
            return {**options, **self._sometimes(rng, "--tenant", self._tenant(rng))}
        holds = self._there("hold")
        if holds and not self._odd(rng):
            still = [one for one in holds if one.state == "open"]
            hold = rng.choice(still if still and rng.random() < 0.85 else holds)
            if hold.job and rng.random() < 0.5:
                return {"--project": hold.project, "--job": hold.job}
            return {"--hold": hold.id}
        if self._odd(rng):
            return {"--hold": rng.choice(("acme:1:0", "acme", "no such hold", "::"))}
        return {"--all": True, "--older-than": "1"}

    def _job_import(self, rng: Random) -> Step:
        log: list[Run | str] = []
        for run in rng.sample(self.manner.runs, rng.randrange(1, len(self.manner.runs) + 1)):
            log.append(run if rng.random() < 0.9 else self._changed(rng, run))
            if rng.random() < 0.1:
                log.append(run)
        if rng.random() < 0.2:
            log.insert(
                rng.randrange(len(log)), rng.choice(("", "12.batch|" + "|" * 9, "what is this", "7|c|" + "|" * 8))
            )
        digest = sha256(repr(log).encode()).hexdigest()[:10]
        options: dict[str, str | bool] = {"FILE": f"jobs-{digest}.txt"}
        options |= self._sometimes(rng, "--unit", rng.choice(("core-hours", "node-hours", "wall-hours")), 0.3)
        options |= self._sometimes(rng, "--cluster", rng.choice(("north", "c1", "cluster")), 0.2)
        if rng.random() < 0.4:
            options |= {"--tenant": self._tenant(rng), "--create-missing": True}
        return Step("job import", options, tuple(log))

    def _changed(self, rng: Random, run: Run) -> Run:
        how: list[dict[str, Any]] = [
            {"elapsed": run.elapsed + 60, "cores": max(1, run.cores)},
            {"user": rng.choice(USERS)},
            {"account": rng.choice((*PROJECTS, "no account"))},
            {"elapsed": 10**11, "cores": rng.choice((1000, 10**9))},
        ]
        return run._replace(**rng.choice(how))

    def _job_undo(self, rng: Random) -> Step:
        batches = list(dict.fromkeys(one.batch for one in self._there("transaction") if one.batch))
        if not batches and not self._odd(rng):
            return self._job_import(rng)
        batch = "20260101T000000Z-nothing" if self._odd(rng) or not batches else rng.choice(batches[-3:])
        return Step("job undo", {"--batch": batch, "--yes": True})

    # -- questions -----------------------------------------------------------------------------------------------

    def _narrowing(self, rng: Random) -> dict[str, str]:
        return {
            **self._sometimes(rng, "--tenant", self._tenant(rng)),
            **self._sometimes(rng, "--project", self._project(rng), 0.3),
        }

    def _page(self, rng: Random, words: str) -> dict[str, str]:
        mark = self.marks.get(words, "")
        made = (
            "nonsense"
            if self._odd(rng)
            else urlsafe_b64encode(json.dumps([self.now, "t:acme:1:0"]).encode()).decode().rstrip("=")
        )
        return {
            **self._sometimes(rng, "--limit", rng.choice(("1", "2", "3", "7", "100")), 0.6),
            **self._sometimes(rng, "--after", rng.choice((mark, mark, made)), 0.4),
        }

    def period(self, rng: Random) -> str:
        """Draw a period around now."""
        if rng.random() < 0.4:
            return rng.choice(("last_day", "last_week", "last_month"))
        today = datetime.fromtimestamp(self.now / SECOND, UTC).date()
        first = today + timedelta(days=rng.choice((0, -1, -2, -5, -40, 3)))
        last = first + timedelta(days=rng.choice((0, 0, 1, 3, 30, 400, -1)))
        return f"{first},{last}" if rng.random() < 0.95 else rng.choice(("yesterday", "2026-02-30,2026-03-01"))

    def _list(self, rng: Random) -> dict[str, str | bool]:
        user = self._sometimes(rng, "--user", self._user(rng, self._project(rng)))
        return {**self._narrowing(rng), **user, **({"--all": True} if rng.random() < 0.4 else {})}

    def _project_show(self, rng: Random) -> dict[str, str]:
        project = self._project(rng)
        return {"--project": project, **self._sometimes(rng, "--needs", self._fitting(rng, project), 0.6)}

    def _transaction_holds(self, rng: Random) -> dict[str, str]:
        older = self._sometimes(rng, "--older-than", rng.choice(("0", "1")), 0.3)
        return {**self._narrowing(rng), **older, **self._page(rng, "transaction holds")}

    def _transaction_list(self, rng: Random) -> dict[str, str]:
        user = self._sometimes(rng, "--user", rng.choice(USERS), 0.2)
        job = self._sometimes(rng, "--job", rng.choice(self.manner.runs).key, 0.2)
        period = self._sometimes(rng, "--time_period", self.period(rng), 0.3)
        return {**self._narrowing(rng), **user, **job, **period, **self._page(rng, "transaction list")}

    def _bill_generate(self, rng: Random) -> dict[str, str]:
        return {"--project": self._project(rng), "--time_period": self.period(rng)}

    def _log_list(self, rng: Random) -> dict[str, str]:
        category = self._sometimes(rng, "--category", rng.choice(("tenant", "job", "transaction")), 0.2)
        period = self._sometimes(rng, "--time_period", self.period(rng), 0.2)
        return {**self._narrowing(rng), **category, **period, **self._page(rng, "log list")}

    def _rate_get(self, rng: Random) -> dict[str, str | bool]:
        return {"--history": True} if rng.random() < 0.7 else {}
