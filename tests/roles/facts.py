"""What must be so, whatever the table of commands says: read by people, so that a wrong table is found."""

from __future__ import annotations

ROOT_ALONE = ("restore", "setup", "log repair", "store copy", "role install")
CHANGES = (
    "tenant add", "tenant disable", "tenant modify", "tenant payment", "project add", "project disable",
    "project movebudget", "user add", "user delete", "rate set", "transaction reservebudget", "transaction charge",
    "transaction release", "job import", "job undo", "log repair", "restore", "store copy", "role install", "role create",
    "role modify", "role delete", "role grant", "role revoke", "login add", "login disable", "login delete",
    "login password", "login key", "setup",
)  # fmt: skip
MONEY = ("transaction reservebudget", "transaction charge", "transaction release", "job import")
POWER = tuple(words for words in CHANGES if words.startswith(("role ", "login ")))
EVERYTHING = (*CHANGES, "list", "transaction list", "bill generate", "project show", "transaction holds", "log list")

NEVER: tuple[tuple[str, str, tuple[str, ...], tuple[str, ...]], ...] = (
    # role, where it is granted, commands, on own, foreign or the whole site
    ("viewer", "", CHANGES, ("own", "foreign", "site")),
    ("auditor", "", CHANGES, ("own", "foreign", "site")),
    ("viewer", "tenant/acme", EVERYTHING, ("foreign", "site")),
    ("viewer", "", ("log list", "log show", "log verify", "backup"), ("own", "foreign", "site")),
    ("operator", "", ("tenant payment", "tenant modify", "tenant add", "project add", "project movebudget", "rate set",
                      "job undo", "bill generate", "log list", "backup", *POWER), ("own", "foreign", "site")),
    ("biller", "", (*MONEY, "tenant modify", "project movebudget", "rate set", "job undo", *POWER), ("own", "foreign", "site")),
    ("tenant-administrator", "tenant/acme", EVERYTHING, ("foreign", "site")),
    ("tenant-administrator", "tenant/acme", ("tenant payment", "tenant modify", "transaction charge"), ("own",)),
    ("project-manager", "project/rockets", EVERYTHING, ("foreign", "site")),
    ("project-manager", "tenant/acme", ("project add", "project movebudget", "tenant payment", *MONEY, *POWER), ("own",)),
    *((role, "", ROOT_ALONE, ("own", "foreign", "site")) for role in ("administrator", "operator", "biller", "auditor")),
)  # fmt: skip

ALWAYS: tuple[tuple[str, str, tuple[str, ...], tuple[str, ...]], ...] = (
    ("root", "", (*EVERYTHING, *ROOT_ALONE), ("own", "foreign", "site")),
    ("administrator", "", tuple(words for words in EVERYTHING if words not in ROOT_ALONE), ("own", "foreign", "site")),
    ("operator", "", ("transaction reservebudget", "transaction charge", "transaction release", "job import"),
     ("own", "foreign", "site")),
    ("biller", "", ("tenant payment", "bill generate"), ("own", "foreign")),
    ("auditor", "", ("log list", "log show", "log verify", "list", "transaction list"), ("own", "foreign", "site")),
    ("tenant-administrator", "tenant/acme", ("project add", "project disable", "project movebudget", "user add", "log list",
                                            "role grant", "login add"), ("own",)),
    ("project-manager", "tenant/acme", ("user add", "user delete", "bill generate"), ("own",)),
    ("viewer", "tenant/acme", ("list", "transaction list", "bill generate", "project show"), ("own",)),
)  # fmt: skip
