"""Tenants: who pays."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Any

from dca.commands import figures
from dca.core import ledger
from dca.core.errors import RefusedError
from dca.core.model import ENABLED, Payment, Tenant, payment_id
from dca.core.names import check_name, folded
from dca.store.schema import PAYMENT

if TYPE_CHECKING:
    from dca.book import Book
    from dca.commands.arguments import Amount, Name, Reference


def add(book: Book, tenant: Name, credit: Amount = 0) -> dict[str, Any]:
    """Add a tenant, with balance 0 and a credit if one is given. Names are never used twice."""
    check_name(tenant, book.site().names, "tenant")
    existing = book.find_tenant(tenant)
    if existing is not None:
        raise RefusedError(f"tenant {existing.name} exists already ({existing.state}); names are never used twice.")
    record = Tenant(
        id=folded(tenant),
        name=tenant,
        balance=0,
        credit=credit,
        allocated_balance=0,
        allocated_credit=0,
        holds_open=0,
        state=ENABLED,
        created=book.now,
    )
    book.put(record)
    return {"tenant": figures.tenant(record)}


def disable(book: Book, tenant: Name) -> dict[str, Any]:
    """Disable a tenant together with all its projects, for ever; refused while any hold is open. Bills still work."""
    record = ledger.disable_tenant(book.enabled_tenant(tenant))
    book.put(record)
    return {"tenant": figures.tenant(record)}


def modify(book: Book, tenant: Name, credit: Amount) -> dict[str, Any]:
    """Set a tenant's credit; not below what its projects hold of it."""
    record = ledger.set_credit(book.enabled_tenant(tenant), credit)
    book.put(record)
    return {"tenant": figures.tenant(record)}


def payment(book: Book, tenant: Name, payment: Amount, reference: Reference = "") -> dict[str, Any]:
    """Book a payment: the tenant's balance rises by it.

    With a reference, the same payment sent again is booked once. A disabled tenant may still pay what it owes.
    """
    account = book.tenant(tenant)
    if payment == 0:
        raise RefusedError("a payment of 0 would change nothing.")
    booking = book.booking()
    if reference:
        booking = book.booking(payment_id(account.id, sha256(reference.encode()).hexdigest()[:32]))
        booked: Payment | None = book.get(PAYMENT, booking.id)
        if booked is not None:
            return _answer_again(booked, payment, account)
    account = ledger.pay(account, payment)
    record = Payment(
        id=booking.id,
        stream=booking.stream,
        seq=booking.seq,
        tenant=account.id,
        amount=payment,
        reference=reference,
        time=booking.time,
    )
    book.put(account)
    book.add(record)
    return {"payment": figures.payment(record), "tenant": figures.tenant(account)}


def _answer_again(booked: Payment, amount: Amount, account: Tenant) -> dict[str, Any]:
    if booked.amount != amount:
        raise RefusedError(
            f"a payment with the reference {booked.reference!r} is booked already, of another amount; "
            "give this one a reference of its own."
        )
    return {"payment": figures.payment(booked), "tenant": figures.tenant(account), "repeated": True}
