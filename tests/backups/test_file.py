"""The file of a backup: what is written is read back, and every damage to it is told in one sentence."""

from __future__ import annotations

import gzip
import json
import resource
import subprocess
import sys
import zlib
from typing import TYPE_CHECKING, Any

import pytest

from dca.core.errors import DamagedError, DcaError, RefusedError, UnreachableError, UsageError
from dca.core.model import Claim
from dca.store import export
from dca.store.entry import document_digest
from dca.store.export import Backup, Logged, Start, Tip, Written

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

START = Start(schema=1, time=1_795_500_000_000, store="/books", signed=False)
STREAMS: dict[str, list[dict[str, Any]]] = {
    "g": [{"stream": "g", "seq": 1, "changes": []}],
    "t:acme": [{"details": "naïve \ud800", "big": 2**70, "real": 0.1}, {"nonsense": [None, {"entry": {}}]}, {}],
    "t:empty": [],
}
HEADS = {"g": "abc", "t:acme": "", "t:empty": ""}
CLAIMS = [Claim("kites", "acme", 1), Claim("rockets", "acme", 2)]


def fill(writer: export.Writer) -> None:
    """Write a few lines of every sort."""
    for name, documents in STREAMS.items():
        writer.stream(name, documents, HEADS[name])
    for claim in CLAIMS:
        writer.claim(claim)


def made(path: Path, start: Start = START, **how: bool) -> Written:
    """Make a backup."""
    return export.write(path, start, fill, **how)


@pytest.fixture
def file(folder: Path) -> Path:
    """Return a backup."""
    made(folder / "one.backup")
    return folder / "one.backup"


def lines(path: Path) -> list[Logged | Claim]:
    """Read a backup."""
    with Backup(path) as backup:
        return list(backup.lines())


def test_what_is_written_is_read(folder: Path) -> None:
    """Every line comes back as it was, in order, and the end names the last entry of each stream."""
    path = folder / "one.backup"
    written = made(path)
    with Backup(path) as backup:
        assert backup.start == START
        read = list(backup.lines())
        assert backup.end == written.end
    assert read == [
        *(Logged(name, seq, one) for name, documents in STREAMS.items() for seq, one in enumerate(documents, 1)),
        *CLAIMS,
    ]
    assert written.end.streams == {
        name: Tip(len(documents), document_digest(documents[-1]) if documents else "", HEADS[name])
        for name, documents in STREAMS.items()
    }
    assert (written.end.entries, written.end.claims) == (4, 2)
    assert export.whole(path) == (START, written.end)


def test_file_is_its_owners_and_tells_its_digest(folder: Path) -> None:
    """The file is for its owner alone, the digest is that of sha256sum, and gzip itself can read it."""
    path = folder / "one.backup"
    written = made(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert written.size == path.stat().st_size
    told = subprocess.run(["sha256sum", path], capture_output=True, text=True, check=True).stdout
    assert told.split()[0] == written.sha256
    assert gzip.decompress(path.read_bytes()).count(b"\n") == 11
    assert [one.name for one in folder.iterdir()] == ["one.backup"]


def test_same_content_is_the_same_file(folder: Path) -> None:
    """Nothing of the moment of packing gets into the file."""
    assert made(folder / "one").sha256 == made(folder / "other").sha256


def test_cut_anywhere(file: Path) -> None:
    """A backup that is cut short is told so, wherever it was cut."""
    whole = file.read_bytes()
    for length in range(len(whole)):
        file.write_bytes(whole[:length])
        with pytest.raises(DamagedError, match=r"is damaged|is no backup"):
            lines(file)


def test_one_bit_flipped_anywhere(file: Path) -> None:
    """A backup in which one bit was turned round is damaged, or still says exactly the same."""
    whole, known = file.read_bytes(), lines(file)
    for place in range(len(whole)):
        changed = bytearray(whole)
        changed[place] ^= 1 << place % 8
        file.write_bytes(changed)
        try:
            assert lines(file) == known
        except DcaError as error:
            assert isinstance(error, DamagedError), error  # noqa: PT017 -- most flips are told, and few make no difference


def repacked(path: Path, change: Callable[[list[bytes]], list[bytes]]) -> None:
    """Change the lines of a backup and pack it again, so that gzip finds nothing wrong."""
    path.write_bytes(gzip.compress(b"".join(change(gzip.decompress(path.read_bytes()).splitlines(keepends=True)))))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda all_of: all_of[:-1], "its end is missing"),
        (lambda all_of: all_of[:4] + all_of[5:], "its last line tells another entries"),
        (lambda all_of: all_of[:-2] + all_of[-1:], "its last line tells another claims"),
        (lambda all_of: [*all_of[:5], all_of[6], all_of[5], *all_of[7:]], "its last line tells another streams"),
        (lambda all_of: [*all_of[:4], all_of[5], all_of[4], *all_of[6:]], "its last line tells another sha256"),
        (lambda all_of: [*all_of[:2], b'{"entry":{}}\n', *all_of[3:]], "its last line tells another streams"),
        (lambda all_of: [*all_of, b"\n"], "something follows"),
        (lambda all_of: [*all_of[:-1], b'{"end":{}}\n'], "its last line tells another entries"),
        (lambda all_of: [all_of[0], b'{"entry":{}}\n', *all_of[1:]], "a line that no backup has"),
        (lambda all_of: [*all_of[:-2], b'{"stream":"late"}\n', *all_of[-2:]], "a line that no backup has"),
        (lambda all_of: [*all_of[:3], all_of[1], *all_of[3:]], "a line that no backup has"),
        (lambda all_of: [*all_of[:-1], b'{"claim":{"id":"x"}}\n', all_of[-1]], "the fields of one"),
        (lambda all_of: [*all_of[:1], b"[]\n", *all_of[1:]], "a line that no backup has"),
        (lambda all_of: [*all_of[:1], b"[" * 100_000 + b"\n", *all_of[1:]], "no JSON"),
        (lambda all_of: [*all_of[:1], b"\xff\n", *all_of[1:]], "no JSON"),
        (lambda all_of: [all_of[0].replace(b'"time":', b'"hour":'), *all_of[1:]], "its first line"),
        (lambda all_of: [all_of[0].replace(b'"format":1', b'"format":0'), *all_of[1:]], "its first line"),
    ],
)
def test_changed_by_hand(file: Path, change: Callable[[list[bytes]], list[bytes]], reason: str) -> None:
    """Lines that were taken out, changed, moved or added are told, also where the packing is right."""
    repacked(file, change)
    with pytest.raises(DamagedError, match=reason) as told:
        lines(file)
    assert told.value.sentence.startswith(f"the backup {file} is damaged: ")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x1f\x8b",
        b"plain text",
        b"SQLite format 3\0" + bytes(1000),
        gzip.compress(b"", mtime=0),
        gzip.compress(b"JobIDRaw|Cluster\n", mtime=0),
        gzip.compress(b"[]\n", mtime=0),
        gzip.compress(b'"dca"\n', mtime=0),
        gzip.compress(b'{"dca":"books","format":1,"schema":1}\n', mtime=0),
        gzip.compress(b'{"dca":"backup","format":"1","schema":1}\n', mtime=0),
        gzip.compress(b"[" * 100_000, mtime=0),
        gzip.compress(bytes(1 << 20), mtime=0),
        zlib.compress(b"{}"),
    ],
)
def test_foreign_files(folder: Path, content: bytes) -> None:
    """A file of something else is called one."""
    path = folder / "other.gz"
    path.write_bytes(content)
    with pytest.raises(DamagedError, match=f"^{path} is no backup of dca"):
        Backup(path)


@pytest.mark.parametrize("newer", [{"format": 2}, {"schema": 999}, {"format": 2, "schema": 999}])
def test_newer_versions(folder: Path, newer: dict[str, int]) -> None:
    """A file of a newer dca is refused before anything else in it is looked at."""
    path = folder / "newer.backup"
    first = {"dca": "backup", "format": 1, "schema": 1, **newer, "something": "new"}
    path.write_bytes(gzip.compress(f"{json.dumps(first)}\n".encode()))
    with pytest.raises(UnreachableError, match="was made by a newer dca"):
        Backup(path)


@pytest.mark.parametrize("name", ["missing", "", "x" * 300, "no/where", "nul\0"])
def test_names_that_lead_to_no_file(folder: Path, name: str) -> None:
    """What is no file is neither read nor written over."""
    with pytest.raises(UsageError, match=r"cannot be read|is no file"):
        Backup(folder / name)
    if name != "missing":
        with pytest.raises(UsageError, match=r"cannot be written|is no file"):
            made(folder / name)


def test_never_over_another_file(file: Path) -> None:
    """A file that is there stays, unless told otherwise."""
    whole = file.read_bytes()
    with pytest.raises(RefusedError, match="exists already"):
        made(file)
    assert file.read_bytes() == whole
    other = made(file, START._replace(store="/others"), overwrite=True)
    assert export.whole(file)[1] == other.end
    with pytest.raises(RefusedError, match="exists already"):
        export.write(file.parent / "late", START, lambda _: (file.parent / "late").touch())
    assert sorted(one.name for one in file.parent.iterdir()) == ["late", "one.backup"]


def test_nothing_is_left_of_a_backup_that_fails(file: Path) -> None:
    """What fails in the middle leaves the file that was there, and no other."""
    whole = file.read_bytes()

    def interrupted(writer: export.Writer) -> None:
        fill(writer)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export.write(file, START, interrupted, overwrite=True)
    assert file.read_bytes() == whole
    assert [one.name for one in file.parent.iterdir()] == ["one.backup"]


TOO_LARGE = """
import pathlib, sys
from dca.core.errors import UsageError
from tests.backups.test_file import made
try:
    made(pathlib.Path(sys.argv[1]))
except UsageError as error:
    print(error.sentence)
"""


def test_no_room(folder: Path) -> None:
    """Where the file can grow no further nothing is left of it."""
    path = folder / "one.backup"
    done = subprocess.run(
        [sys.executable, "-c", TOO_LARGE, str(path)],
        capture_output=True,
        text=True,
        check=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100)),
    )
    assert done.stdout == f"the backup {path} cannot be written: File too large.\n"
    assert list(folder.iterdir()) == []
