"""Checkpoints: the ends of all streams at some time, in a small file that can leave the machine, signed if there is a key.

The file is one JSON object: {"dca": "checkpoint", "format": 1, "time": .., "store": .., "heads": {STREAM: [SEQUENCE, HASH]},
"sha256": .., "signature": ..}. `sha256` is that of the canonical JSON of all before it, so that damage shows; `signature` is
the Ed25519 signature of the same bytes in hexadecimal digits, empty where no key is configured.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from hashlib import sha256
from typing import TYPE_CHECKING, Any, NamedTuple

from dca.core.errors import DamagedError, RefusedError, UnreachableError, UnsoundError, UsageError
from dca.core.names import shown
from dca.store.entry import canonical

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

    from dca.store.port import Archive

FORMAT = 1
FILE_BYTES_MAX = 1 << 28
KEY_BYTES_MAX = 100_000
SIGNED = ("dca", "format", "time", "store", "heads")


class Checkpoint(NamedTuple):
    """Ends of streams as they were at some time."""

    time: int
    store: str
    heads: Mapping[str, tuple[int, str]]
    signature: str = ""

    @property
    def text(self) -> bytes:
        """Return what is hashed and signed."""
        fields = {"dca": "checkpoint", "format": FORMAT, "time": self.time, "store": self.store}
        heads = {stream: list(head) for stream, head in self.heads.items()}
        return canonical({**fields, "heads": heads}).encode("utf-8", "surrogatepass")

    def signed(self, key: Ed25519PrivateKey) -> Checkpoint:
        """Return the checkpoint with its signature."""
        return self._replace(signature=key.sign(self.text).hex())


def taken(archive: Archive, time: int, store: str) -> Checkpoint:
    """Return the stored ends of all streams; DamagedError where a head names an entry that is not there."""
    heads: dict[str, tuple[int, str]] = {}
    for stream in archive.streams():
        head = archive.head(stream)
        if head.seq and not archive.documents(stream, head.seq, 1):
            raise DamagedError(
                f"the head of stream {shown(stream)} names an entry that is not there; run dca log verify."
            )
        if head.seq:
            heads[stream] = (head.seq, head.hash)
    return Checkpoint(time, store, heads)


def write(path: Path, checkpoint: Checkpoint, *, overwrite: bool) -> None:
    """Write a checkpoint: whole and under its name, or not at all."""
    content = json.loads(checkpoint.text.decode("utf-8", "surrogatepass"))
    fields = {**content, "sha256": _digest(checkpoint), "signature": checkpoint.signature}
    data = (json.dumps(fields, indent=1) + "\n").encode()
    if not path.name:
        raise UsageError(f"{shown(path)} is no file; name a new file.")
    part = path.with_name(f".{path.name[:200]}.{os.getpid()}.part")
    try:
        if path.exists() and not path.is_file():
            raise UsageError(f"{shown(path)} is no file; name a new file.")
        if overwrite and path.exists() and not _may_be_replaced(path):
            raise UsageError(f"{shown(path)} is no checkpoint of dca and is not replaced; name another file.")
        with part.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if overwrite:
            part.replace(path)
        else:
            os.link(part, path)
    except FileExistsError:
        raise RefusedError(f"{shown(path)} exists already; name a new file, or replace it with --overwrite.") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "no file can have that name"
        raise UsageError(f"the file {shown(path)} cannot be written: {reason}.") from None
    finally:
        with contextlib.suppress(OSError, ValueError):
            part.unlink(missing_ok=True)


def _may_be_replaced(path: Path) -> bool:
    """Tell whether a file begins as a checkpoint does, or is empty."""
    with path.open("rb") as file:
        begin = file.read(100)
    return not begin or re.match(rb'\s*\{\s*"dca"\s*:\s*"checkpoint"', begin) is not None


def _digest(checkpoint: Checkpoint) -> str:
    return sha256(checkpoint.text).hexdigest()


def read(path: Path) -> Checkpoint:
    """Read a checkpoint; a file that is none, or not whole, is told so."""
    text = _text(path, "checkpoint", FILE_BYTES_MAX)
    try:
        content = json.loads(text)
        what, number = content["dca"], content["format"]
    except (ValueError, KeyError, TypeError, RecursionError):
        what = number = None
    if what != "checkpoint" or type(number) is not int:
        raise DamagedError(f"{shown(path)} is no checkpoint of dca, or is damaged; name another file.")
    if number > FORMAT:
        raise UnreachableError(f"the checkpoint {shown(path)} was made by a newer dca (format {number}); install that.")
    match content:
        case {
            "time": int(time),
            "store": str(store),
            "heads": dict(heads),
            "sha256": str(digest),
            "signature": str(signature),
        }:
            ends = {stream: tuple(end) for stream, end in heads.items() if _is_end(end)}
            checkpoint = Checkpoint(time, store, ends, signature)
            if len(ends) == len(heads) and _digest(checkpoint) == digest:
                return checkpoint
    raise DamagedError(f"the checkpoint {shown(path)} is damaged: it is not what was written; use another copy.")


def _is_end(end: Any) -> bool:
    return isinstance(end, list) and [*map(type, end)] == [int, str]


def _text(path: Path, what: str, bytes_max: int) -> str:
    try:
        if path.exists() and not path.is_file():
            raise UsageError(f"the {what} {shown(path)} is no file.")
        with path.open("rb") as file:
            data = file.read(bytes_max + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "no file can have that name"
        raise UsageError(f"the {what} {shown(path)} cannot be read: {reason}.") from None
    return data.decode("utf-8", "replace") if len(data) <= bytes_max else ""


def check_signature(checkpoint: Checkpoint, key: Ed25519PublicKey, name: str) -> None:
    """See to it that a checkpoint was signed with the key that belongs to a public one."""
    from cryptography.exceptions import InvalidSignature

    if not checkpoint.signature:
        raise UnsoundError(f"the checkpoint {shown(name)} is not signed, and a key is configured: do not trust it.")
    try:
        key.verify(bytes.fromhex(checkpoint.signature), checkpoint.text)
    except (InvalidSignature, ValueError):
        raise UnsoundError(
            f"the signature of the checkpoint {shown(name)} is not that of the configured key: do not trust it."
        ) from None


# -- keys ----------------------------------------------------------------------------------------------------------------


def _library() -> Any:
    try:
        from cryptography.hazmat.primitives import serialization
    except ImportError:
        raise UsageError("signatures need the library cryptography: pip install 'dca[sign]'.") from None
    return serialization


def private_key(path: Path) -> Ed25519PrivateKey:
    """Read a private key: a PEM file or one of OpenSSH, without a passphrase."""
    serialization = _library()
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    data = _text(path, "key", KEY_BYTES_MAX).encode()
    try:
        load = serialization.load_ssh_private_key if b"BEGIN OPENSSH" in data else serialization.load_pem_private_key
        key = load(data, None)
    except Exception:  # noqa: BLE001 -- the library has many words for it
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise UsageError(f"{shown(path)} holds no private Ed25519 key without a passphrase.")
    return key


def public_key(path: Path) -> Ed25519PublicKey:
    """Read a public key: a PEM file or a line of OpenSSH."""
    serialization = _library()
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    data = _text(path, "key", KEY_BYTES_MAX).encode()
    try:
        load = serialization.load_ssh_public_key if data.startswith(b"ssh-") else serialization.load_pem_public_key
        key = load(data)
    except Exception:  # noqa: BLE001 -- the library has many words for it
        key = None
    if not isinstance(key, Ed25519PublicKey):
        raise UsageError(f"{shown(path)} holds no public Ed25519 key.")
    return key
