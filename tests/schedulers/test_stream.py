"""Bytes to lines: packed or not, cut anywhere, long, and never whole in memory."""

import bz2
import gzip
import io
import lzma
import random
import tracemalloc

import pytest

from dca.core.errors import UsageError
from dca.schedulers import READERS
from dca.schedulers.stream import blocks, line_blocks
from tests.schedulers.reading import HEADER, core_seconds, items, lines, row, sample


def cut(data: bytes) -> list[str]:
    """Return the lines of a stream of bytes."""
    return [line for block in line_blocks(blocks(io.BytesIO(data))) for line in block.lines]


@pytest.mark.parametrize("size", [1, 2, 3, 1000])
@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"a",
        b"a\n",
        b"\n\na\r\nb\r\n",
        b"a\rb\nc",
        b"\xef\xbb\xbfa\nb",
        b"a\nb\r",
        "ä\nö\n".encode(),
        b"\xff\n\xc3",
    ],
)
def test_lines_do_not_depend_on_blocks(data: bytes, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Line breaks, letters and marks that lie across two blocks are what they are."""
    wanted = (
        data.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape").replace("\r\n", "\n").removesuffix("\r")
    )
    monkeypatch.setattr("dca.schedulers.stream.BLOCK_BYTES", size)
    assert cut(data) == (wanted.removesuffix("\n").split("\n") if wanted else [])


def test_whether_the_last_line_ended() -> None:
    """The last line break tells."""
    assert [block.ended for block in line_blocks([b"a\nb"])] == [True, False]
    assert [block.ended for block in line_blocks([b"a\nb\n"])] == [True]
    assert [block.ended for block in line_blocks([b"a\r\nb\r"])] == [True, True]


@pytest.mark.parametrize("size", [1, 100, 1 << 20])
def test_packed_logs(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also from a pipe that gives a byte at a time, and two of them one behind the other."""
    monkeypatch.setattr("dca.schedulers.stream.BLOCK_BYTES", size)
    data = sample("sacct-t5-final-delimiter-1f.txt")
    half = data.index(b"\n", len(data) // 2) + 1
    assert core_seconds(items(gzip.compress(data[:half]) + gzip.compress(data[half:]), delimiter="\x1f")) == 3392


@pytest.mark.parametrize("damage", ["cut", "flipped", "trailing"])
def test_damaged_packing_is_an_error(damage: str) -> None:
    """What could be unpacked is out before it; the log is not taken for a whole one."""
    packed = bytearray(gzip.compress(lines(HEADER, *(row(JobIDRaw=str(number)) for number in range(20_000)))))
    if damage == "cut":
        del packed[-50:]
    elif damage == "flipped":
        packed[len(packed) // 2] ^= 0xFF
    else:
        packed += b"more"
    with pytest.raises(UsageError, match="gzip"):
        items(bytes(packed))


TEXT = lines(HEADER, row())


@pytest.mark.parametrize(
    ("data", "tool"),
    [
        (bz2.compress(TEXT), "bzip2 -dc FILE"),
        (lzma.compress(TEXT), "xz -dc FILE"),
        (b"\x28\xb5\x2f\xfd" + TEXT, "zstd -dc FILE"),
        (b"PK\x03\x04" + TEXT, "unzip -p FILE"),
        (gzip.compress(gzip.compress(TEXT)), "gzip -dc FILE"),
        (TEXT.decode().encode("utf-16"), "iconv -f UTF-16"),
        (b"\xfe\xff" + TEXT.decode().encode("utf-16-be"), "iconv -f UTF-16"),
    ],
)
def test_what_must_be_unpacked_first(data: bytes, tool: str) -> None:
    """Other packings and encodings are not read as text: the error says how to unpack them."""
    for read in READERS.values():
        with pytest.raises(UsageError, match=f"{tool}.*dca job import -"):
            list(read(io.BytesIO(data), zone="UTC", delimiter="|"))


def test_an_endless_line_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before it fills the memory."""
    monkeypatch.setattr("dca.schedulers.stream.LINE_BYTES_MAX", 4 << 20)
    with pytest.raises(UsageError, match="4 MiB"):
        items(lines(HEADER) + b"x" * (8 << 20))


@pytest.mark.parametrize("kind", ["plain", "packed"])
def test_memory_is_flat(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three times as long a log takes no more memory."""
    monkeypatch.setattr("dca.schedulers.stream.BLOCK_BYTES", 1 << 16)
    peaks = []
    for many in (6_000, 18_000):
        data = lines(HEADER, *(row(JobIDRaw=str(number)) for number in range(many)))
        pipe = io.BytesIO(gzip.compress(data, 1) if kind == "packed" else data)
        del data
        tracemalloc.start()
        found = sum(1 for _ in READERS["slurm"](pipe, zone="UTC"))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert found == many
    assert peaks[1] < peaks[0] * 1.3


@pytest.mark.parametrize("kind", ["slurm", "swf"])
def test_noise_is_an_error_and_no_traceback(kind: str) -> None:
    """Bytes of all kinds, with the beginnings that choose a way to read; the seed is in the message."""
    for seed in range(300):
        noise = random.Random(seed)
        begin = noise.choice(
            [b"", b"{", b'{"jobs":[', b"\x1f\x8b\x08\x00", HEADER.encode() + b"\n", b"; UnixStartTime: 9\n"]
        )
        data = begin + noise.randbytes(noise.randrange(3000))
        try:
            items(data, kind=kind)
        except UsageError:
            continue
        except Exception as error:
            raise AssertionError(f"seed {seed}") from error
