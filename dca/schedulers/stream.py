"""From a stream of bytes (file or pipe, packed with gzip or not) to lines of text, in flat memory."""

import gzip
import zlib
from collections.abc import Iterable, Iterator
from typing import BinaryIO, NamedTuple

from dca.core.errors import UsageError

BLOCK_BYTES = 1 << 20
LINE_BYTES_MAX = 1 << 24

_GZIP = b"\x1f\x8b"
_UNREADABLE = {
    b"BZh": "packed with bzip2; unpack it first: bzip2 -dc FILE | dca job import -",
    b"\xfd7zXZ\x00": "packed with xz; unpack it first: xz -dc FILE | dca job import -",
    b"\x28\xb5\x2f\xfd": "packed with zstd; unpack it first: zstd -dc FILE | dca job import -",
    b"PK\x03\x04": "packed with zip; unpack it first: unzip -p FILE | dca job import -",
    _GZIP: "packed with gzip twice; unpack it once: gzip -dc FILE | dca job import -",
    b"\xff\xfe": "written in UTF-16; write it in UTF-8 first: iconv -f UTF-16 -t UTF-8 FILE | dca job import -",
    b"\xfe\xff": "written in UTF-16; write it in UTF-8 first: iconv -f UTF-16 -t UTF-8 FILE | dca job import -",
}
"""First bytes of what is no log before somebody has unpacked it, and how."""
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"

_BEGIN_BYTES = max(map(len, _UNREADABLE))


class Block(NamedTuple):
    """Some lines of a log, and whether the last of them ended with a line end."""

    lines: list[str]
    ended: bool


class _Pushed:
    """A stream whose first bytes were read already and come once more."""

    def __init__(self, first: bytes, stream: BinaryIO) -> None:
        self._first = first
        self._stream = stream

    def read(self, size: int) -> bytes:
        taken, self._first = self._first[:size], self._first[size:]
        return taken or self._stream.read(size)


def _unpacked(stream: BinaryIO) -> Iterator[bytes]:
    first = stream.read(BLOCK_BYTES)
    while 0 < len(first) < len(_GZIP) and (more := stream.read(BLOCK_BYTES)):
        first += more
    source = _Pushed(first, stream)
    if not first.startswith(_GZIP):
        while block := source.read(BLOCK_BYTES):
            yield block
        return
    try:
        packed = gzip.GzipFile(fileobj=source, mode="rb")  # type: ignore[call-overload]  # needs no more than read
        while block := packed.read(BLOCK_BYTES):
            yield block
    except (EOFError, gzip.BadGzipFile, zlib.error):
        raise UsageError("the log is packed with gzip and damaged or cut short; pack it once more.") from None


def blocks(stream: BinaryIO) -> Iterator[bytes]:
    """Read a stream in blocks, unpacked, without a byte order mark; of what else can be packed, say how to unpack it."""
    pieces = _unpacked(stream)
    first = b""
    while len(first) < _BEGIN_BYTES and (more := next(pieces, b"")):
        first += more
    for begin, what in _UNREADABLE.items():
        if first.startswith(begin):
            raise UsageError(f"the log is {what}")
    if first := first.removeprefix(_BYTE_ORDER_MARK):
        yield first
    yield from pieces


def _lines(data: bytes) -> list[str]:
    text = data.decode("utf-8", "surrogateescape")
    if "\r" in text:
        text = text.replace("\r\n", "\n")
    return text.split("\n")


def line_blocks(pieces: Iterable[bytes]) -> Iterator[Block]:
    """Cut blocks of bytes into lines; bytes that are no UTF-8 become lone surrogates and can be written back."""
    rest: list[bytes] = []
    for piece in pieces:
        cut = piece.rfind(b"\n") + 1
        if cut:
            lines = _lines(b"".join([*rest, piece[:cut]]))
            lines.pop()
            rest = [piece[cut:]]
            yield Block(lines, ended=True)
        else:
            rest.append(piece)
            if sum(map(len, rest)) > LINE_BYTES_MAX:
                raise UsageError(f"a line is longer than {LINE_BYTES_MAX >> 20} MiB: this is no scheduler's log.")
    final = b"".join(rest)
    if final:
        yield Block(_lines(final.removesuffix(b"\r")), ended=final.endswith(b"\r"))
