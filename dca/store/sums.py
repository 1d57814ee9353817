"""The money of the books, added up again from what the log says."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from dca.core.model import DISABLED, OPEN
from dca.store.damage import MONEY
from dca.store.schema import HOLD, PROJECT, TENANT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dca.core.model import Project, Record
    from dca.store.damage import Findings
    from dca.store.examination import Brought
    from dca.store.port import Entry
    from dca.store.scratch import State, States

SETS_CREDIT = {("tenant", "add"), ("tenant", "modify")}
MOVES = {("project", "add"), ("project", "movebudget")}


class Money:
    """What the entries of a tenant say about its money."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.paid = self.granted = self.from_balance = self.from_credit = 0
        self.moved: Counter[str] = Counter()
        """What was given to each project, less what was taken from it."""
        self.costs: Counter[str] = Counter()

    def add(self, entry: Entry, brought: Brought) -> None:
        """Add what an entry that counts says."""
        self.paid += brought.paid
        self.from_balance += brought.spent[0]
        self.from_credit += brought.spent[1]
        self.costs.update(brought.costs)
        words = (entry.category, entry.action)
        if words in SETS_CREDIT or words in MOVES:
            for kind, record, was in entry.changes:
                if kind == TENANT and words in SETS_CREDIT:
                    self.granted += getattr(record, "credit", 0) - getattr(was, "credit", 0)
                elif kind == PROJECT and words in MOVES:
                    self.moved[record.id] += _worth(record) - _worth(was)


def _worth(record: Record | None) -> int:
    return int(getattr(record, "balance", 0) + getattr(record, "credit", 0))


class Sums:
    """What tenants and projects have, held against payments, costs, holds and moves."""

    def __init__(self, states: States, money: Mapping[str, Money], findings: Findings) -> None:
        """Take the mutable records, and the money of each stream."""
        self._states, self._money, self._findings = states, money, findings

    def check(self) -> None:
        """Add up the money of all tenants and projects."""
        held: Counter[str] = Counter()
        open_holds: Counter[str] = Counter()
        for states in self._states.all(HOLD):
            for state in states:
                hold: Any = state.record
                if hold.state == OPEN:
                    held[hold.project] += hold.amount
                    open_holds[hold.project] += 1
        allocated: dict[str, list[int]] = {}
        for states in self._states.all(PROJECT):
            for state in states:
                project: Any = state.record
                sums = allocated.setdefault(project.tenant, [0, 0, 0])
                sums[2] += project.holds_open
                if project.state != DISABLED:
                    sums[0] += max(0, project.balance)
                    sums[1] += max(0, project.credit)
                self._project_sums(state, project, held[project.id], open_holds[project.id])
        for states in self._states.all(TENANT):
            for state in states:
                self._tenant_sums(state, state.record, allocated.get(state.record.id, [0, 0, 0]))

    def _project_sums(self, state: State, project: Project, held: int, holds_open: int) -> None:
        money = self._money.get(state.stream, Money())
        self._sum(state, PROJECT, "held amount", project.requested, held)
        self._sum(state, PROJECT, "number of open holds", project.holds_open, holds_open)
        worth = money.moved[project.id] - money.costs[project.id]
        self._sum(state, PROJECT, "balance and credit", project.balance + project.credit, worth)

    def _tenant_sums(self, state: State, tenant: Any, allocated: Sequence[int]) -> None:
        money = self._money.get(state.stream, Money())
        self._sum(state, TENANT, "balance", tenant.balance, money.paid - money.from_balance)
        self._sum(state, TENANT, "credit", tenant.credit, money.granted - money.from_credit)
        self._sum(state, TENANT, "allocated balance", tenant.allocated_balance, allocated[0])
        self._sum(state, TENANT, "allocated credit", tenant.allocated_credit, allocated[1])
        self._sum(state, TENANT, "number of open holds", tenant.holds_open, allocated[2])

    def _sum(self, state: State, kind: str, what: str, kept: int, added: int) -> None:
        if kept != added:
            sentence = f"the {what} of {kind} {state.record.id} is {kept}, its parts add up to {added}"
            self._findings.add(MONEY, sentence, stream=state.stream, of=kind, id=state.record.id)
