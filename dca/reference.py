"""What is derived from the tables: reference pages, index settings and role templates.

python -m dca.reference --write brings them up to date.
"""

import json
import sys
from collections.abc import Callable, Mapping
from inspect import getdoc
from pathlib import Path

from dca.commands.access import commands_of
from dca.commands.table import (
    ANYWHERE,
    BY_PROJECT,
    BY_TENANT,
    COMMANDS,
    GLOBAL,
    MOVE,
    OPTIONS_OF_ALL,
    OPTIONS_OF_CHANGES,
    OPTIONS_OF_CONFIRMED,
    OWN,
    Command,
    function,
    rows,
)
from dca.config import CONFIG_PATHS, SETTINGS, VARIABLES
from dca.core import errors, names
from dca.core.model import DIRECT, SERVICE, Record
from dca.core.permissions import TEMPLATES, Definition, Template
from dca.secret import COMMAND_SECONDS_MAX, SECRET_BYTES_MAX
from dca.store import elastic_rights as rights
from dca.store import indices
from dca.store.guard import application_of, privilege_of
from dca.store.schema import KINDS, LOG, VERSION

ROOT = Path(__file__).resolve().parent.parent
NOTICE = "<!-- Generated from the tables by python -m dca.reference --write; a test fails when it is stale. -->"


def commands_page() -> str:
    """Return the page of all commands."""
    lines = [NOTICE, "# Commands", ""]
    lines += [f"- [`dca {command.words}`](#{_anchor(command.words)})" for command in COMMANDS]
    lines += ["", "Options that every command takes:", "", *_option_table(OPTIONS_OF_ALL), ""]
    lines += ["Every changing command also takes:", "", *_option_table(OPTIONS_OF_CHANGES), ""]
    lines += ["Commands that ask also take:", "", *_option_table(OPTIONS_OF_CONFIRMED), ""]
    for command in COMMANDS:
        lines += [f"## dca {command.words}", "", "```", f"dca {command.words} {command.usage}".rstrip(), "```", ""]
        lines += [getdoc(function(command.does)) or "", ""]
        if command.confirm:
            lines += [f"Asks: *{command.confirm}*", ""]
        facts = {
            "reads": ", ".join(command.reads) or "nothing",
            "writes": ", ".join(("log", *command.writes)) if command.writes else "nothing",
        }
        lines += [", ".join(f"{name}: {value}" for name, value in facts.items()) + ".", ""]
    return _joined(lines)


def _anchor(words: str) -> str:
    return f"dca-{words}".replace(" ", "-")


def _option_table(options: tuple[tuple[str, str], ...]) -> list[str]:
    return ["| option | meaning |", "| --- | --- |", *(f"| `{option}` | {meaning} |" for option, meaning in options)]


def errors_page() -> str:
    """Return the page of error codes and exit statuses."""
    exceptions = (
        "(but for `outcome_unknown`, which says how to ask later, and for `job import`, `job undo` and "
        "`transaction release --all`, which say how far they came)"
    )
    lines = [
        NOTICE,
        "# Errors and exit statuses",
        "",
        f"A failed command answers `status: failed`, one sentence as `error` and a `code`; nothing was changed {exceptions}.",
        "",
        "| code | exit status | HTTP status | trying again can help | meaning |",
        "| --- | --- | --- | --- | --- |",
    ]
    for kind in errors.KINDS:
        again = "yes" if kind.retryable else "no"
        lines.append(f"| `{kind.code}` | {kind.exit_status} | {kind.http_status} | {again} | {getdoc(kind)} |")
    lines += ["", "Success is exit status 0; an interrupted command (Ctrl-C) is 130 and leaves nothing half done."]
    return _joined(lines)


def configuration_page() -> str:
    """Return the page of settings."""
    lines = [NOTICE, "# Configuration", ""]
    places = ", ".join(f"`{path}`" for path in CONFIG_PATHS)
    lines += [
        f"Settings are read from the TOML file that `DCA_CONFIG` names, else from the first of {places} that exists.",
        "`DCA_STORE` in the environment goes before the store that the file names. `dca setup` writes a commented file",
        "where there is none, readable by its owner only; `dca config show` prints what is in use, secrets masked.",
        "",
        "## Who is calling",
        "",
        "Elasticsearch wants a user with a password, or an API key. A secret has six places in the file, of which one is",
        "used; two at once are refused: `password`, `password_file`, `password_command`, `api_key`, `api_key_file`,",
        "`api_key_command`. The first of these that gives the secret is taken, and likewise, by itself, the first that gives",
        "the user (with an API key no user is needed):",
        "",
        "1. the address in `DCA_STORE`, `https://user:password@host:port/prefix`;",
        f"2. the variables {', '.join(f'`{variable}`' for variable in VARIABLES.values())}; an empty one is none;",
        "3. the address in `store` or `hosts`;",
        "4. the other settings of the file.",
        "",
        "User and secret of the file go only to hosts that the file names (same scheme, host and port): with a `DCA_STORE`",
        "elsewhere they are left out, and a warning says so unless a variable gives the secret. What the variables give goes",
        "to the store in use, whoever named it, but never to the other store of `dca store copy`, which has a config of its",
        "own. The other settings hold for any store.",
        "",
        "A **command** is split into words as a shell does and run without one: no `~`, no pipes, no variables. It is run when",
        "the first request is sent, and once in a process: not for help, `config show` or books in SQLite. It gets no input,",
        f"shows its standard error, and has {COMMAND_SECONDS_MAX:g} seconds. `config show` prints it, so it should hold no secret",
        "itself. If others than root and yourself may write the config it is not run. What it",
        "cannot be run for is wrong usage (exit status 2); a command that fails, hangs or writes nothing",
        "leaves the store unasked (exit status 3).",
        "",
        "Of a file and of a command's output the first line is taken, as UTF-8 and without its end; at most",
        f"{SECRET_BYTES_MAX} bytes. In a path `~` is the home folder. dca warns if others may read the file of a secret",
        "or put another in its place, or may write the file of the authority; `dca doctor` looks at",
        "them too, and at `checkpoint_key`.",
        "",
        "## Whom to trust",
        "",
        "With `https://` the server's certificate is always verified; there is no switch for it. Without more the authorities",
        "that Python trusts on this machine count; with `ca_file` only its own. The host's name must be in the certificate.",
        "`fingerprint` instead pins the one certificate, whatever its names and its end:",
        "`openssl x509 -noout -fingerprint -sha256 -in http.crt` prints it. The fingerprint of an authority, as Elasticsearch",
        "prints it when it is first started, is not enough: give its certificate as `ca_file`.",
        "",
        "## Settings",
        "",
        "| setting | type | default | example | meaning |",
        "| --- | --- | --- | --- | --- |",
    ]
    for setting in SETTINGS:
        default = f"`{setting.default}`" if setting.default else ""
        lines.append(
            f"| `{setting.name}` | {_type(setting.type)} | {default} | `{setting.example}` | {setting.meaning} |"
        )
    return _joined(lines)


def _type(kind: type) -> str:
    return {str: "text", bool: "true or false"}[kind]


def fields_page() -> str:
    """Return the page of record kinds and their fields."""
    lines = [NOTICE, "# Record kinds and index fields", ""]
    lines += [
        "Each kind is an index of Elasticsearch (behind an alias of its name, with the site's prefix) and a table of",
        f"SQLite. Schema version {VERSION}. Amounts are whole micro-dollars, instants whole milliseconds since 1970",
        "(UTC); a text that does not apply is empty, a number that does not apply is 0. Mutable records are replaced",
        "as a whole, others are only ever added. On Elasticsearch the tenant and site documents also carry the head of",
        "their stream: `head_seq`, `head_hash`, `head_time`.",
        "",
    ]
    for kind in KINDS.values():
        lines += [f"## {kind.name}", "", f"{kind.meaning[0].upper()}{kind.meaning[1:]}; "]
        lines[-1] += "mutable." if kind.mutable else "only ever added."
        lines += ["", "| field | type | meaning |", "| --- | --- | --- |"]
        meanings = _meanings(kind.record)
        for field, annotation in kind.record.__annotations__.items():
            of = "instant" if field in kind.dates else ("whole number" if annotation is int else "text")
            lines.append(f"| `{field}` | {of} | {meanings[field]} |")
        lines.append("")
    lines += _log_fields()
    return _joined(lines)


def _meanings(record: type[Record]) -> dict[str, str]:
    """Return what the text below each field of a record says."""
    import ast
    from inspect import getsource

    (node,) = ast.parse(getsource(record)).body
    assert isinstance(node, ast.ClassDef)
    found: dict[str, str] = {}
    name = ""
    for statement in node.body:
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            name = statement.target.id
            found[name] = ""
        elif name and isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
            found[name] = str(statement.value.value)
    return found


def _log_fields() -> list[str]:
    fields = {
        "stream": "`t:<tenant>` or `g`, the global stream",
        "seq": "number of the entry in its stream, from 1",
        "time": "when it was written; never before the entry it follows",
        "actor": "who ran the command, as dca knows it",
        "author": "who wrote it, as Elasticsearch stamps it (not on SQLite)",
        "category": "first word of the command",
        "action": "second word of the command",
        "details": "the command's arguments, for people",
        "tenant": "id of the tenant, empty in the global stream",
        "projects": "ids of the projects concerned",
        "commit": "identifier of the command's run",
        "previous": "hash of the entry before it",
        "hash": "SHA-256 of the entry's canonical JSON without author and hash",
        "schema": "schema version it was written with",
        "changes": "the records it brings, each with what it was before; kept, not indexed",
    }
    rows = [f"| `{name}` | {meaning} |" for name, meaning in fields.items()]
    return [
        "## log",
        "",
        "One entry for each commit; only ever added.",
        "",
        "| field | meaning |",
        "| --- | --- |",
        *rows,
    ]


def limits_page() -> str:
    """Return the page of limits."""
    lines = [NOTICE, "# Limits", "", "| what | at most | why |", "| --- | --- | --- |"]
    lines += [f"| {what} | {most} | {why} |" for what, (most, why) in names.LIMITS.items()]
    lines += ["| amount | 8,000,000,000 dollars | exact in every store and every JSON reader |"]
    return _joined(lines)


# -- permissions ---------------------------------------------------------------------------------------------------

PLACEHOLDERS = {"site": "", "tenant": "tenant/TENANT"}
"""The scope of a role template as its file names it, by the widest scope on which it is granted."""


def permissions_page() -> str:
    """Return the page of roles, the commands of each, and the rights at Elasticsearch that each command needs."""
    lines = [NOTICE, "# Permissions", ""]
    lines += [
        "Who may run which command, and what for that a login needs at Elasticsearch. [Security](security.md) says how it is",
        "enforced, and what it does not stop.",
        "",
        "## Roles that every site has",
        "",
        "| role | level | widest scope | what it is for |",
        "| --- | --- | --- | --- |",
    ]
    lines += [f"| `{one.name}` | {one.level} | {one.bound} | {one.meaning} |" for one in TEMPLATES]
    lines += [
        "",
        "Whoever has a role gives, changes and takes only what is below its level, within its scope, and no command that they",
        "do not have themselves; root is bound by nothing, and the last root stays.",
        "",
        "## Commands and roles",
        "",
        "`everyone`: needs no permission. *where*: what the command is about, and so where it must be permitted: the whole",
        "site, a tenant, a project (its tenant will do), or anywhere. With options that narrow a command (`--tenant`,",
        "`--project`) their scope is enough.",
        "",
        f"| command | where | {' | '.join(one.name for one in TEMPLATES)} |",
        f"| --- | --- |{' --- |' * len(TEMPLATES)}",
    ]
    lines += [_permission_row(command) for command in COMMANDS]
    lines += [
        "",
        "With direct access to Elasticsearch only root carries the commands that change roles and logins: its own right to",
        "manage security is as good as root.",
        "",
        "## Commands and rights at Elasticsearch",
        "",
        "What a user needs who talks to Elasticsearch directly, beside the application privilege of the command; the direct form",
        "of a role has the rights of all its commands, the service form none. Names are those of the aliases, behind the prefix.",
        "Every command that works on the books needs `read` on all of them, since an entry that another writer has not carried",
        "out yet must be judged whatever it concerns; the table says what comes on top.",
        "",
        "| command | application privilege | cluster | indices |",
        "| --- | --- | --- | --- |",
    ]
    lines += [_rights_row(command) for command in COMMANDS]
    return _joined(lines)


_WHERE = {
    GLOBAL: "site",
    BY_TENANT: "tenant",
    BY_PROJECT: "project",
    MOVE: "both ends",
    OWN: "as narrowed",
    ANYWHERE: "anywhere",
}


def _permission_row(command: Command) -> str:
    if command.is_open:
        marks = ["everyone", *[""] * (len(TEMPLATES) - 1)]
        return f"| `{command.words}` | | {' | '.join(marks)} |"
    marks = ["yes" if command.words in commands_of(one.name) else "" for one in TEMPLATES]
    return f"| `{command.words}` | {_WHERE[command.scope]} | {' | '.join(marks)} |"


def _rights_row(command: Command) -> str:
    if command.is_open:
        return f"| `{command.words}` | none | | |"
    wanted = rights.needs(command.words, rows()[command.words])
    names: dict[tuple[str, ...], list[str]] = {}
    for name, privileges in wanted.indices.items():
        further = tuple(one for one in privileges if one != rights.READ or name not in (*KINDS, LOG))
        if further:
            names.setdefault(further, []).append(name)
    indices = "; ".join(f"{', '.join(listed)}: {', '.join(f'`{one}`' for one in of)}" for of, listed in names.items())
    cluster = ", ".join(f"`{one}`" for one in wanted.cluster)
    return f"| `{command.words}` | `{privilege_of(command.words)}` | {cluster} | {indices} |"


def role_file(template: Template, form: str) -> str:
    """Return a role template as Elasticsearch takes it, for books without a prefix."""
    role = Definition(template.name, template.level, commands_of(template.name), PLACEHOLDERS[template.bound], form)
    return json.dumps(rights.role_body(role, application_of(""), "", rows()), indent=2) + "\n"


def privileges_file() -> str:
    """Return the application privileges as Elasticsearch takes them, for books without a prefix."""
    return json.dumps(rights.registration(application_of(""), rows()), indent=2) + "\n"


def _joined(lines: list[str]) -> str:
    return "\n".join(line.rstrip() for line in lines).rstrip() + "\n"


PAGES: Mapping[str, Callable[[], str]] = {
    "docs/commands.md": commands_page,
    "docs/errors.md": errors_page,
    "docs/configuration.md": configuration_page,
    "docs/fields.md": fields_page,
    "docs/limits.md": limits_page,
    "docs/permissions.md": permissions_page,
    "roles/privileges.json": privileges_file,
}


def files() -> dict[str, str]:
    """Return every generated file: its path in the repository and its text."""
    settings = {f"setup_indices/{name}.json": indices.index_file(name) for name in indices.NAMES}
    roles = {f"roles/{one.name}.{form}.json": role_file(one, form) for one in TEMPLATES for form in (DIRECT, SERVICE)}
    return {path: page() for path, page in PAGES.items()} | settings | roles


def stale() -> list[str]:
    """Return the generated files that are not as the tables say."""
    return [path for path, text in files().items() if not (ROOT / path).exists() or (ROOT / path).read_text() != text]


def main() -> int:
    """Write the generated files, or name those that are stale."""
    if sys.argv[1:] == ["--write"]:
        for path, text in files().items():
            (ROOT / path).parent.mkdir(parents=True, exist_ok=True)
            (ROOT / path).write_text(text)
        return 0
    found = stale()
    for path in found:
        sys.stderr.write(f"stale: {path}; run python -m dca.reference --write\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
