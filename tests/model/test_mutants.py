"""The histories find what they are there to find: each rule is broken once, on purpose, and has to be noticed."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from dca import book, engine
from dca.commands import bill, importing, transaction
from dca.core import ledger, money
from dca.core.ledger import Accounts, Parts
from dca.store import entry
from dca.store.port import Condition, Query
from tests.model.history import Hall
from tests.model.side import Memory, Side
from tests.model.workload import Manner

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from dca.core.model import Hold, Project, Tenant, Transaction
    from dca.store.port import Decision, Entry, LogQuery, Reader, Sum, Sums

    Patch = pytest.MonkeyPatch

HISTORIES_MOST = 300


def _holds_are_kept(patch: Patch) -> None:
    """A charge or a release does not give back what the hold took."""
    close = ledger.close

    def mutant(accounts: Accounts, held: Hold, **how: Any) -> tuple[Accounts, Hold]:
        (tenant, project), closed = close(accounts, held, **how)
        return Accounts(tenant, project._replace(requested=accounts.project.requested)), closed

    patch.setattr(ledger, "close", mutant)


def _other_amount_released(patch: Patch) -> None:
    """A hold gives back what it would cost today."""
    charge = ledger.charge

    def mutant(accounts: Accounts, usage: Any, held: Hold | None, rate: int, booking: Any) -> Any:
        if held is not None and money.price(rate, held.estimate) < held.amount:
            held = held._replace(amount=money.price(rate, held.estimate))
        return charge(accounts, usage, held, rate, booking)

    patch.setattr(ledger, "charge", mutant)


def _credit_first(patch: Patch) -> None:
    """Costs are taken from the credit first."""

    def mutant(balance: int, credit: int, amount: int) -> Parts:
        del balance
        from_credit = min(max(credit, 0), amount)
        return Parts(amount - from_credit, from_credit)

    patch.setattr(ledger, "split", mutant)


def _prices_round_down(patch: Patch) -> None:
    """Parts of a micro-dollar are given away."""
    patch.setattr(money, "price", lambda rate, seconds: rate * seconds // 3600)


def _prices_round_half_up(patch: Patch) -> None:
    """Half a micro-dollar is always rounded up."""
    patch.setattr(money, "price", lambda rate, seconds: (2 * rate * seconds + 3600) // 7200)


def _allocation_unchecked(patch: Patch) -> None:
    """A tenant can give out what it does not have."""
    patch.setattr(ledger, "check_allocation", lambda before, after: None)


def _allocation_strict(patch: Patch) -> None:
    """A tenant that owes cannot do anything with its projects."""
    check = ledger.check_allocation

    def mutant(before: Tenant, after: Tenant) -> None:
        check(before._replace(allocated_balance=-1), after)

    patch.setattr(ledger, "check_allocation", mutant)


def _holds_forgotten(patch: Patch) -> None:
    """What is held counts as available."""
    patch.setattr(ledger, "available", lambda project: project.balance + project.credit)


def _last_dollar_refused(patch: Patch) -> None:
    """A hold of exactly what is there is refused."""
    patch.setattr(ledger, "available", lambda project: project.balance + project.credit - project.requested - 1)


def _newest_hold_first(patch: Patch) -> None:
    """A charge without a key settles the newest hold."""

    def mutant(*given: Any, **named: Any) -> Query:
        query = Query(*given, **named)
        keyless = Condition("job", "eq", "") in query.where
        return query._replace(order=("-opened", "-id")) if keyless else query

    patch.setattr(transaction, "Query", mutant)


def _undone_into_balance(patch: Patch) -> None:
    """What an undone job took from the credit comes back as balance."""
    counter_of = ledger.counter_of

    def mutant(charged: Transaction, booking: Any, source: str, *, late: int) -> Transaction:
        counter = counter_of(charged, booking, source, late=late)
        return counter._replace(project_balance=counter.cost, project_credit=0)

    patch.setattr(ledger, "counter_of", mutant)


def _undone_twice(patch: Patch) -> None:
    """Nobody looks whether a job was taken back already."""
    patch.setattr(importing.Batch, "_find_charged", lambda self, keys, generation: None)


def _keys_forgotten(patch: Patch) -> None:
    """A command sent again with its key is done again."""
    patch.setattr(engine, "once", lambda book, key, content, work: work(book))


def _charged_twice(patch: Patch) -> None:
    """A job key that was charged is charged again."""
    charged = book.Book.charged

    def mutant(self: book.Book, tenant: str, job: str) -> book.Charged:
        return book.Charged(charged(self, tenant, job).generation + 1, None)

    patch.setattr(book.Book, "charged", mutant)


def _disabled_with_holds(patch: Patch) -> None:
    """A project can be disabled while jobs run."""
    disable = ledger.disable_project

    def mutant(accounts: Accounts) -> Accounts:
        tenant, project = accounts
        disabled = disable(Accounts(tenant, project._replace(holds_open=0)))
        return Accounts(disabled.tenant, disabled.project._replace(holds_open=project.holds_open))

    patch.setattr(ledger, "disable_project", mutant)


def _disabled_keep_earmarks(patch: Patch) -> None:
    """What a disabled project held is lost to its tenant."""

    def mutant(project: Project | None) -> Parts:
        return Parts(max(0, project.balance), max(0, project.credit)) if project is not None else Parts(0, 0)

    patch.setattr(ledger, "earmarked", mutant)


def _bill_forgets_payments(patch: Patch) -> None:
    """Payments after a period count into its balance."""
    total = bill._total

    def mutant(book: Any, tenant: Tenant, kind: str, field: str, when: str, since: int) -> int:
        return 0 if kind == "payment" else total(book, tenant, kind, field, when, since)

    patch.setattr(bill, "_total", mutant)


def _hash_leaves_out_the_actor(patch: Patch) -> None:
    """Who did it can be changed afterwards."""
    digest = entry.digest
    patch.setattr(entry, "digest", lambda fields, changes: digest({**fields, "actor": ""}, changes))


MUTANTS: tuple[Callable[[Patch], None], ...] = (
    _holds_are_kept,
    _other_amount_released,
    _credit_first,
    _prices_round_down,
    _prices_round_half_up,
    _allocation_unchecked,
    _allocation_strict,
    _holds_forgotten,
    _last_dollar_refused,
    _newest_hold_first,
    _undone_into_balance,
    _undone_twice,
    _keys_forgotten,
    _charged_twice,
    _disabled_with_holds,
    _disabled_keep_earmarks,
    _bill_forgets_payments,
    _hash_leaves_out_the_actor,
)


def found_by(hall: Hall) -> int | None:
    """Return the number of histories it takes to find that something is wrong; None if they do not find it."""
    for seed in range(HISTORIES_MOST):
        failure = hall.play(seed, range(Manner.of(Random(seed)).length))
        if failure is not None:
            assert failure.kind not in {"TypeError", "AttributeError", "KeyError"}, (
                failure.text
            )  # the mutant itself fails
            return seed + 1
    return None


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.__name__.strip("_"))
def test_a_broken_rule_is_found(mutant: Callable[[Patch], None], monkeypatch: Patch, swift: Path) -> None:
    """With one rule broken, alike for every store, the second writing of the rules or an invariant objects."""
    mutant(monkeypatch)
    assert found_by(Hall(swift, list)) is not None, mutant.__doc__


class Backwards(Memory):
    """Pages of the log in the wrong order."""

    def log(self, query: LogQuery) -> list[Entry]:
        """Return the entries, the oldest first."""
        return super().log(query)[::-1]


class Shut(Memory):
    """Days that begin a moment too late."""

    def sums(self, request: Sums) -> list[Sum]:
        """Leave out what happened at the very begin."""
        days = tuple(day._replace(begin=day.begin + 1) for day in request.days)
        return super().sums(request._replace(days=days))


class Lossy(Memory):
    """A record that is written and not kept."""

    def write(self, decide: Callable[[Reader], Decision]) -> Decision:
        """Forget the associations of the third entry of each tenant."""
        decision = super().write(decide)
        if decision.draft is not None and self.end(decision.draft.stream).seq == 3:
            for change in decision.draft.changes:
                if change.kind == "association":
                    del self.records[change.kind][change.record.id]
        return decision


class Blind(Memory):
    """A page that begins again with the last record of the one before."""

    def find(self, query: Query) -> list[Any]:
        """Look only at the first field of an order of two."""
        after = (query.after[0], "") if query.after and len(query.after) == 2 else query.after
        return super().find(query._replace(after=after))


@pytest.mark.parametrize("store", [Backwards, Shut, Lossy, Blind])
def test_a_store_of_its_own_mind_is_found(store: type[Memory], swift: Path) -> None:
    """A store that differs from memory in one small thing is noticed."""
    assert found_by(Hall(swift, lambda: [Side(store.__name__, store())])) is not None, store.__doc__
