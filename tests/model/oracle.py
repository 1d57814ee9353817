"""The rules of the money once more, as simply as they can be said: dollars as fractions, sums taken anew each time.

Nothing here is taken from dca; where both agree on every balance, credit, held amount and refusal, two writings of the
rules agree.
"""

from __future__ import annotations

import re
from copy import deepcopy
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from tests.model.steps import Run, Step

MOST = 8_000_000_000
SECONDS_MOST = 10**12
BEHIND_MOST = 300_000
DAY = 86_400_000
WIDE_NAME = "[A-Za-z0-9][A-Za-z0-9_.@-]{0,63}"
SITE = ""
"""Where the clock and the keys of the global stream are kept."""


class Refused(Exception):  # noqa: N818 -- no error: the rules say no
    """The rules refuse a command."""


@dataclass
class Purse:
    """Balance and credit of a tenant or a project, in dollars."""

    balance: Fraction = Fraction(0)
    credit: Fraction = Fraction(0)

    def after(self, cost: Fraction) -> tuple[Fraction, Fraction]:
        """Return balance and credit after a cost: balance first, then credit, then the balance goes negative."""
        from_balance = max(Fraction(0), min(self.balance, cost))
        from_credit = min(self.credit, cost - from_balance)
        rest = cost - from_balance - from_credit
        return fits(self.balance - from_balance - rest), self.credit - from_credit


@dataclass
class Tenant(Purse):
    """Who pays."""

    enabled: bool = True
    references: dict[str, Fraction] = field(default_factory=dict)


@dataclass
class Project(Purse):
    """What spends; users maps each who ever was in it to whether they are now."""

    tenant: str = ""
    enabled: bool = True
    users: dict[str, bool] = field(default_factory=dict)


@dataclass
class Hold:
    """Money set aside."""

    project: str
    user: str
    job: str
    seconds: int
    amount: Fraction
    opened: int
    id: str = ""
    open: bool = True
    settled: bool = False


@dataclass
class Charge:
    """What a job key was charged, and what it took: from the tenant and from the project, of balance and of credit."""

    project: str
    user: str
    runtime: int
    billed: int
    start: str
    """As given; empty if the job ended when it was charged."""
    imported: bool
    took: tuple[Fraction, ...] = ()


def fits(amount: Fraction) -> Fraction:
    """Return an amount that dca can hold."""
    if abs(amount) > MOST:
        raise Refused
    return amount


def need(condition: object) -> None:
    """Refuse unless a condition holds."""
    if not condition:
        raise Refused


class Oracle:
    """Predicts what each command does to the money, and whether it is refused."""

    def __init__(self) -> None:
        """Begin with empty books."""
        self.tenants: dict[str, Tenant] = {}
        self.projects: dict[str, Project] = {}
        self.holds: list[Hold] = []
        self.charges: dict[tuple[str, str], Charge] = {}
        """The charge that stands for each tenant and job key."""
        self.batches: dict[str, list[tuple[str, str, Charge]]] = {}
        self.keys: dict[tuple[str, str], object] = {}
        self.clocks: dict[str, int] = {}
        """When each stream was last written to."""
        self.rate = Fraction(0)
        self.extended = False
        self.zone = "UTC"
        self.cluster = "cluster"
        self.now = 0
        self.lost: bool = False
        """Whether something happened that these rules cannot follow."""
        self.made: Any = None
        """What the last command made and the books alone can name: a hold, or the charges of an import."""
        self.counts: tuple[int, Fraction] = (0, Fraction(0))
        """Jobs that the last import charged, and their cost."""

    def judge(self, step: Step, now: int) -> bool | None:
        """Carry out a command; tell whether it succeeds, or None where that is open and nothing changes either way."""
        if step.malformed:
            return False
        self.now, self.made = now, None
        try:
            stream = self._stream(step)
            if self.clocks.get(stream, 0) - now > BEHIND_MOST:
                return None
            doing = deepcopy(self) if step.dry_run else self
            doing._once(step, stream)
        except Refused:
            return False
        is_open = step.dry_run and (step.words == "job import" or doing.lost)
        return None if is_open else True

    def learn(self, answer: dict[str, Any]) -> None:
        """Take the names that the books gave to what the last command made."""
        if isinstance(self.made, Hold):
            self.made.id = answer["hold"]["hold"]
        elif self.made is not None:
            self.batches[answer["batch"]] = self.made

    def _stream(self, step: Step) -> str:
        """Return where a command is written, and its key is kept: a tenant, or the site."""
        options = step.options
        if step.words == "transaction release" and "--all" not in options:
            need((SITE, step.key) not in self.keys)
            return self._project(str(options["--project"])).tenant if "--project" in options else _owner(options)
        if step.words in ("rate set", "setup", "job import", "job undo", "transaction release"):
            return SITE
        if step.words == "project movebudget" and options["--type"] != "t2p":
            return self._project(str(options["--from"])).tenant
        tenant = options.get("--from" if step.words == "project movebudget" else "--tenant")
        return str(tenant).lower() if tenant is not None else self._project(str(options["--project"])).tenant

    def _once(self, step: Step, stream: str) -> None:
        """Do a command, unless its key was used: then only the same content is answered, again."""
        content = (step.words, {name: number(value) for name, value in step.options.items()})
        if step.key and (stream, step.key) in self.keys:
            need(self.keys[stream, step.key] == content)
            return
        given = {parameter(name): value for name, value in step.options.items()}
        changed = getattr(self, "_" + step.words.replace(" ", "_"))(**given, **({"log": step.log} if step.log else {}))
        if step.key:
            self.keys[stream, step.key] = content
        if step.key or (changed and (stream != SITE or step.words in ("rate set", "setup"))):
            self.touch(stream)

    def touch(self, stream: str) -> int:
        """Note that a stream is written to; return the time of the entry, which is never before the last one's."""
        self.clocks[stream] = max(self.now, self.clocks.get(stream, 0))
        return self.clocks[stream]

    # -- finding -------------------------------------------------------------------------------------------------

    def _tenant(self, name: str, *, enabled: bool = True) -> Tenant:
        need(name.lower() in self.tenants)
        tenant = self.tenants[name.lower()]
        need(tenant.enabled or not enabled)
        return tenant

    def _project(self, name: str, *, enabled: bool = False) -> Project:
        need(name.lower() in self.projects)
        project = self.projects[name.lower()]
        need(not enabled or (project.enabled and self.tenants[project.tenant].enabled))
        return project

    def _named(self, name: str) -> None:
        need(re.fullmatch(WIDE_NAME if self.extended else "[A-Za-z0-9]{1,32}", name))

    def open_holds(self, project: str) -> list[Hold]:
        """Return the open holds of a project."""
        return [hold for hold in self.holds if hold.open and hold.project == project]

    def _free(self, name: str) -> Fraction:
        project = self.projects[name]
        return project.balance + project.credit - sum(hold.amount for hold in self.open_holds(name))

    def _price(self, seconds: int) -> Fraction:
        return fits(Fraction(round(self.rate * seconds / 3600 * 10**6), 10**6))  # half to even, as Python rounds

    # -- tenants, projects, users --------------------------------------------------------------------------------

    def _tenant_add(self, tenant: str, credit: str = "0") -> bool:
        self._named(tenant)
        need(tenant.lower() not in self.tenants)
        self.tenants[tenant.lower()] = Tenant(credit=fits(Fraction(credit)))
        return True

    def _tenant_modify(self, tenant: str, credit: str) -> bool:
        found = self._tenant(tenant)
        need(Fraction(credit) >= self._allocated(tenant.lower(), "credit"))
        changed = found.credit != Fraction(credit)
        found.credit = fits(Fraction(credit))
        return changed

    def _tenant_payment(self, tenant: str, payment: str, reference: str = "") -> bool:
        found, amount = self._tenant(tenant, enabled=False), fits(Fraction(payment))
        need(amount)
        if reference in found.references:
            need(found.references[reference] == amount)
            return False
        found.balance = fits(found.balance + amount)
        if reference:
            found.references[reference] = amount
        return True

    def _tenant_disable(self, tenant: str) -> bool:
        found = self._tenant(tenant)
        need(not any(self.open_holds(name) for name, one in self.projects.items() if one.tenant == tenant.lower()))
        found.enabled = False
        return True

    def _project_add(self, project: str, tenant: str, balance: str = "0", credit: str = "0") -> bool:
        self._named(project)
        self._tenant(tenant)
        need(project.lower() not in self.projects)
        new = Project(tenant=tenant.lower())
        self._earmark(new, Fraction(balance), Fraction(credit))
        self.projects[project.lower()] = new
        return True

    def _project_disable(self, project: str) -> bool:
        found = self._project(project, enabled=True)
        need(not self.open_holds(project.lower()))
        found.enabled = False
        return True

    def _allocated(self, tenant: str, what: str) -> Fraction:
        mine = [one for one in self.projects.values() if one.tenant == tenant and one.enabled]
        return sum((max(Fraction(0), getattr(one, what)) for one in mine), Fraction(0))

    def _earmark(self, project: Project, balance: Fraction, credit: Fraction) -> None:
        for what, amount in (("balance", fits(balance)), ("credit", fits(credit))):
            had = getattr(project, what)
            before = self._allocated(project.tenant, what)
            after = before - max(Fraction(0), had) + max(Fraction(0), had + amount)
            need(after <= before or after <= getattr(self.tenants[project.tenant], what))
            fits(had + amount)
        project.balance += balance
        project.credit += credit

    def _project_movebudget(self, from_: str, to: str, type: str, balance: str = "0", credit: str = "0") -> bool:  # noqa: A002
        amounts = Fraction(balance), Fraction(credit)
        need(any(amounts))
        if type == "t2p":
            self._tenant(from_)
            target = self._project(to, enabled=True)
            need(target.tenant == from_.lower())
            self._earmark(target, *amounts)
            return True
        source = self._project(from_)
        owner = self._project(to).tenant if type == "p2p" else to.lower()
        need(source.tenant == owner and from_.lower() != (to.lower() if type == "p2p" else ""))
        self._project(from_, enabled=True)
        need(amounts[0] <= max(Fraction(0), source.balance) and amounts[1] <= source.credit)
        need(self._free(from_.lower()) >= sum(amounts))
        if type == "p2p":
            target = self._project(to, enabled=True)
            fits(target.balance + amounts[0])
            fits(target.credit + amounts[1])
            target.balance += amounts[0]
            target.credit += amounts[1]
        source.balance -= amounts[0]
        source.credit -= amounts[1]
        return True

    def _project_show(self, project: str, needs: str | None = None) -> bool:
        self._project(project, enabled=needs is not None)
        if needs is not None:
            need(int(needs) <= SECONDS_MOST)
            need(self._free(project.lower()) >= Fraction(round(self.rate * int(needs) * 10**6 / 3600), 10**6))
        return False

    def _user_add(self, project: str, user: str) -> bool:
        self._named(user)
        users = self._project(project, enabled=True).users
        need(not users.get(user.lower()))
        users[user.lower()] = True
        return True

    def _user_delete(self, project: str, user: str) -> bool:
        users = self._project(project, enabled=True).users
        need(users.get(user.lower()))
        users[user.lower()] = False
        return True

    # -- the site ------------------------------------------------------------------------------------------------

    def _rate_set(self, rate: str) -> bool:
        self.rate = fits(Fraction(rate))
        return True

    def _setup(
        self, names_: str | None = None, timezone: str = "", cluster: str = "", *, wipe: bool = False, yes: bool = False
    ) -> bool:
        if wipe:
            assert yes
            now = self.now
            self.__init__()  # type: ignore[misc]
            self.now = now
        need(not (names_ == "strict" and self.extended))
        before = self.extended, self.zone, self.cluster
        self.extended = self.extended or names_ == "extended"
        self.zone, self.cluster = timezone or self.zone, cluster or self.cluster
        return before != (self.extended, self.zone, self.cluster)

    # -- jobs ----------------------------------------------------------------------------------------------------

    def _transaction_reservebudget(
        self, project: str, estimate: str, cores: str = "1", user: str | None = None, job: str = ""
    ) -> bool:
        name, found = project.lower(), self._project(project, enabled=True)
        need(user is None or found.users.get(user.lower()))
        user = (user or "").lower()
        seconds = int(estimate) * int(cores)
        need(seconds <= SECONDS_MOST)
        for hold in self.holds:
            if job and hold.job == job and self.projects[hold.project].tenant == found.tenant:
                need((hold.project, hold.user, hold.seconds) == (name, user, seconds) and (hold.open or hold.settled))
                return False
        if job and (found.tenant, job) in self.charges:
            return False
        amount = self._price(seconds)
        need(self._free(name) >= amount)
        fits(sum((hold.amount for hold in self.open_holds(name)), amount))
        self.made = Hold(name, user, job, seconds, amount, self.touch(found.tenant))
        self.holds.append(self.made)
        return True

    def _transaction_charge(
        self,
        project: str,
        user: str,
        jobtime: str,
        estimate: str | None = None,
        start: str = "",
        cores: str = "1",
        job: str = "",
    ) -> bool:
        name, found = project.lower(), self._project(project)
        need(user.lower() in found.users)
        billed = int(jobtime) * int(cores)
        wanted = int(estimate) * int(cores) if estimate is not None else None
        need(billed <= SECONDS_MOST)
        self._possible(found.tenant, int(jobtime), start)
        known = self.charges.get((found.tenant, job)) if job else None
        if known is not None:
            need((known.project, known.user) == (name, user.lower()))
            times = known.runtime, known.billed, known.start if start else ""
            need(known.imported or times == (int(jobtime), billed, start))
            return self._give_back(found.tenant, job)
        self._project(project, enabled=True)
        need((wanted or 0) <= SECONDS_MOST)
        charge = Charge(name, user.lower(), int(jobtime), billed, start, imported=False)
        self._book(charge, job, self._hold_of(name, job, wanted))
        self._give_back(found.tenant, job)
        return True

    def _give_back(self, tenant: str, job: str) -> bool:
        """Give back an open hold of a job that is charged: one that no charge of its own project settled."""
        mine = [one for one in self.holds if job and one.job == job and self.projects[one.project].tenant == tenant]
        left = [one for one in mine if one.open]
        for hold in left:
            hold.open = False
        return bool(left)

    def _possible(self, tenant: str, jobtime: int, start: str) -> None:
        """Refuse a job that began before 1970 or ends in the future."""
        now = max(self.now, self.clocks.get(tenant, 0))
        begin = int(start) * 1000 if start.isdigit() else now if start else now - jobtime * 1000
        need(begin > 0 and begin + jobtime * 1000 <= now + BEHIND_MOST)

    def _hold_of(self, project: str, job: str, seconds: int | None) -> Hold | None:
        held = [hold for hold in self.open_holds(project) if hold.job == job and (job or hold.seconds == seconds)]
        return min(held, key=lambda hold: (hold.opened, hold.id), default=None)

    def _book(self, charge: Charge, job: str, hold: Hold | None) -> Fraction:
        """Take the cost from tenant and project, each on its own figures, and give back what the hold took."""
        project = self.projects[charge.project]
        tenant = self.tenants[project.tenant]
        cost = self._price(charge.billed)
        ends = project.after(cost), tenant.after(cost)
        if hold is not None:
            hold.open, hold.settled = False, True
        before = (project.balance, project.credit, tenant.balance, tenant.credit)
        (project.balance, project.credit), (tenant.balance, tenant.credit) = ends
        charge.took = tuple(a - b for a, b in zip(before, (*ends[0], *ends[1]), strict=True))
        if job:
            self.charges[project.tenant, job] = charge
        return cost

    def _transaction_release(
        self,
        hold: str | None = None,
        project: str | None = None,
        job: str = "",
        older_than: str = "",
        tenant: str | None = None,
        *,
        all_: bool = False,
    ) -> bool:
        if all_:
            need(tenant is None or tenant.lower() in self.tenants)
            before = self.now - int(older_than) * DAY
            found = [one for one in self.holds if one.open and one.opened <= before]
            found = [one for one in found if tenant is None or self.projects[one.project].tenant == tenant.lower()]
        else:
            owner = self._project(project).tenant if project is not None else ""
            found = [one for one in self.holds if one.id == hold and one.id] + [
                one for one in self.holds if owner and one.job == job and self.projects[one.project].tenant == owner
            ]
            need(found and found[0].open)
        for one in found:
            one.open = False
            self.touch(self.projects[one.project].tenant)
        return True

    def _job_import(
        self,
        file: str,
        log: tuple[Run | str, ...] = (),
        unit: str = "core-hours",
        cluster: str = "",
        tenant: str | None = None,
        *,
        create_missing: bool = False,
    ) -> bool:
        assert file
        if tenant is not None:
            self._tenant(tenant)
        self.made, self.counts = [], (0, Fraction(0))
        runs = [one for one in log if isinstance(one, Run)]
        for run in runs:  # what refuses the whole import
            if run.account.lower() not in self.projects and re.fullmatch(WIDE_NAME, run.account):
                self._named(run.account)
                if create_missing and tenant is not None:
                    self.projects[run.account.lower()] = Project(tenant=tenant.lower())
                    self.touch(tenant.lower())
            if create_missing and run.account.lower() in self.projects:
                self._named(run.user)
        for run in runs:
            try:
                self._import(run, cluster or self.cluster, unit, create=create_missing)
            except Refused:
                continue
        return True

    def _import(self, run: Run, cluster: str, unit: str, *, create: bool) -> None:
        project = self._project(run.account)
        key = run._replace(cluster=run.cluster or cluster).key
        need(run.end * 1000 <= self.now + BEHIND_MOST)
        need(unit != "node-hours" or run.nodes or not run.elapsed)
        if (project.tenant, key) in self.charges:
            if self._give_back(project.tenant, key):
                self.touch(project.tenant)
            raise Refused
        if run.user.lower() not in project.users:
            need(create)
            self._named(run.user)
            project.users[run.user.lower()] = True
            self.touch(project.tenant)
        factor = {"core-hours": run.cores, "node-hours": run.nodes, "wall-hours": 1}[unit]
        name = run.account.lower()
        need(run.elapsed * factor <= SECONDS_MOST)
        charge = Charge(name, run.user.lower(), run.elapsed, run.elapsed * factor, "", imported=True)
        cost = self._book(charge, key, self._hold_of(name, key, None))
        self._give_back(project.tenant, key)
        self.touch(project.tenant)
        self.made.append((project.tenant, key, charge))
        self.counts = self.counts[0] + 1, self.counts[1] + cost

    def _job_undo(self, batch: str, *, yes: bool = False) -> bool:
        assert yes
        need(self.batches.get(batch))
        for tenant_id, key, charge in self.batches[batch]:
            if self.charges.get((tenant_id, key)) is not charge:
                continue
            del self.charges[tenant_id, key]
            project, tenant = self.projects[charge.project], self.tenants[tenant_id]
            project.balance += charge.took[0]
            project.credit += charge.took[1]
            tenant.balance += charge.took[2]
            tenant.credit += charge.took[3]
            purses = project.balance, project.credit, tenant.balance, tenant.credit
            self.lost = self.lost or max(purses) > MOST  # refused at one of its portions, which we do not know
            self.touch(tenant_id)
        return True


def _owner(options: dict[str, str | bool]) -> str:
    """Return the tenant that the id of a hold begins with."""
    return str(options["--hold"]).partition(":")[0]


def number(value: str | bool) -> object:
    """Return a text as the number it is, where it is one."""
    try:
        return Fraction(value) if isinstance(value, str) else value
    except ValueError:
        return value


def parameter(option: str) -> str:
    """Return an option's name as a parameter's."""
    plain = option.strip("-").replace("-", "_").lower()
    return f"{plain}_" if plain in ("from", "all", "names") else plain
