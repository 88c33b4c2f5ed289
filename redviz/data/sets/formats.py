"""From the bytes of a data set to its rows: JSONL (also gzipped), JSON, CSV and text, read as a stream and within bounds."""

from __future__ import annotations

import gzip
import hashlib
import io
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from redviz.data.sets.arrow import arrow_rows
from redviz.data.sets.parquet import parquet_rows
from redviz.data.sets.separated import MAX_LINE, csv_rows
from redviz.data.sets.values import KINDS, BadValue, parsed
from redviz.errors import RedvizError
from redviz.git_lfs import LONGEST, refuse_start

BLOCK = 2**20
MAX_JSON = 32 * 2**20  # a .json file is held whole as objects, json has no stream: up to thirty times as much again
MAX_TEXT = 256 * 2**20  # held whole, but as one text
MAX_RATIO = 300  # gzip reaches 1,000 on zeros and about 10 on text
FREE = 16 * 2**20  # so much may any .gz hold, whatever its ratio
MAX_EXPANDED = 64 * 2**30
MAX_EXPANDED_UPLOAD = 2 * 2**30
SIGNS = {
    b"\x1f\x8b": "a gzip file",
    b"PAR1": "a Parquet file",
    b"PK\x03\x04": "a zip archive",
    b"\xff\xfe": "UTF-16 text",
}
SIGNS |= {b"\xfe\xff": "UTF-16 text", b"(\xb5/\xfd": "a zstd file", b"BZh": "a bzip2 file", b"\xfd7zXZ": "an xz file"}
OWN = {".jsonl.gz": "a gzip file", ".parquet": "a Parquet file"}
Numbered = Iterator[tuple[int, Any]]


@dataclass(frozen=True)
class Content:
    """One file of a data set, on disk or uploaded, with the name that stands in sentences about it.

    ``digests`` are the SHA-256 of every reading that went from the start to the end, the latest last.
    """

    source: Path | bytes
    name: str
    digests: list[bytes] = field(default_factory=list, compare=False, repr=False)

    def open(self) -> BinaryIO:
        if isinstance(self.source, bytes):
            return io.BytesIO(self.source)
        try:
            return self.source.open("rb")
        except (OSError, ValueError) as error:  # ValueError: a null character in the path
            reason = getattr(error, "strerror", None) or "not a path"
            raise RedvizError(f"{self.name} cannot be opened ({reason}); check its path and permissions.") from None

    def stream(self) -> BinaryIO:
        """The same to be read from start to end, which leaves its digest."""
        return io.BufferedReader(_Hashed(self.open(), self.digests), BLOCK)

    def blocks(self) -> Iterator[bytes]:
        with self.stream() as file:
            while block := _read(file, BLOCK, self.name):
                yield block

    @property
    def size(self) -> int:
        return len(self.source) if isinstance(self.source, bytes) else self.source.stat().st_size


class _Hashed(io.RawIOBase):
    """A file read in order, and what its bytes hash to once its end was seen."""

    def __init__(self, file: BinaryIO, digests: list[bytes]) -> None:
        self.file, self.digests, self.hash, self.ended = file, digests, hashlib.sha256(), False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        block = self.file.read(len(buffer))
        buffer[: len(block)] = block
        self.hash.update(block)
        if not block and not self.ended:
            self.ended = True
            self.digests.append(self.hash.digest())
        return len(block)

    def tell(self) -> int:
        return self.file.tell()

    def close(self) -> None:
        self.file.close()
        super().close()


@dataclass(frozen=True)
class Rows:
    """The rows of one file: how many (None: not counted), and a way to read them from the start, numbered as a person finds them.

    ``columns`` are the names in a header that holds more than ``read`` gives.
    """

    count: int | None
    read: Callable[[], Numbered]
    columns: tuple[str, ...] = ()


def rows_of(content: Content, wanted: Collection[str], counted: bool = True) -> Rows:
    """The rows of a file by the ending of its name (of a Parquet or Arrow file the ``wanted`` columns).

    Where they are not to be ``counted``, a file that is read line by line is not read for that.

    Every refusal is a ``RedvizError`` of one sentence.
    """
    ending = next((ending for ending in ENDINGS if content.name.lower().endswith(ending)), None)
    with content.open() as file:
        start = _read(file, LONGEST, content.name)
    refuse_start(start, content.name)
    if ending is None:
        raise RedvizError(f"{content.name} has an ending that is not read here; use one of {', '.join(ENDINGS)}.")
    sign = next((sign for sign in SIGNS if start.startswith(sign)), None)
    if sign and SIGNS[sign] != OWN.get(ending):
        raise RedvizError(
            f"{content.name} is {SIGNS[sign]}, not {ending}; unpack or convert it, or name it by what it is."
        )
    if ending == ".parquet":
        return Rows(*parquet_rows(content.open, content.size, content.name, wanted))
    if ending == ".arrow":
        if isinstance(content.source, bytes):  # its size says nothing of what it may unpack to
            raise RedvizError(f"{content.name} is not read from an upload; open it by its path, or save it as Parquet.")
        return Rows(*arrow_rows(content.open, content.name, wanted, counted))
    return TEXTS[ending](content, counted)


def jsonl_rows(lines: Iterable[str | bytes | BadValue]) -> Numbered:
    """The objects on the lines of a JSONL file; blank lines are counted and left out."""
    for number, line in enumerate(lines, 1):
        if isinstance(line, BadValue):
            yield number, line
        elif line.strip():
            try:
                yield (
                    number,
                    parsed(line if isinstance(line, str) else line.decode("utf-8-sig" if number == 1 else "utf-8")),
                )
            except UnicodeDecodeError as error:
                yield number, BadValue(f"not UTF-8 (byte {error.start + 1} of the line)")


def json_rows(text: str, filename: str) -> Numbered:
    """The objects of a JSON list, or of the list under ``data``."""
    yield from enumerate(_listed(text, filename), 1)


def _listed(text: str, filename: str) -> list[Any]:
    rows = parsed(text)
    if isinstance(rows, BadValue):
        raise RedvizError(f"{filename} is {rows}; give a list of objects, or name it .jsonl if each line is one.")
    if isinstance(rows, dict) and isinstance(rows.get("data"), list):
        rows = rows["data"]
    if not isinstance(rows, list):
        raise RedvizError(f"{filename} holds {KINDS[type(rows)]}, expected a list of objects; put it between [ and ].")
    return rows


def txt_rows(text: str) -> Numbered:
    """One response without its last line end."""
    response = text.replace("\r\n", "\n").removesuffix("\n")
    if response:
        yield 1, {"prompt": "", "response": response}


def _read(file: BinaryIO, size: int, name: str) -> bytes:
    try:
        return file.read(size)
    except OSError as error:
        raise RedvizError(f"{name} cannot be read ({error.strerror}); check the disk and its permissions.") from None


def _gzip_blocks(content: Content) -> Iterator[bytes]:
    """What a gzip file holds, block by block; refused as soon as it is more than honest text would be."""
    limit = MAX_EXPANDED_UPLOAD if isinstance(content.source, bytes) else MAX_EXPANDED
    expanded = 0
    with content.stream() as file, gzip.GzipFile(fileobj=file) as opened:
        while True:
            try:
                block = opened.read(BLOCK)
            except EOFError:
                raise RedvizError(f"{content.name} is cut off inside its gzip stream; fetch it again.") from None
            except (gzip.BadGzipFile, zlib.error) as error:
                raise RedvizError(
                    f"{content.name} is not a sound gzip file ({error}); fetch it again, or name it by what it is."
                ) from None
            if not block:
                return
            expanded += len(block)
            if expanded > limit:
                raise RedvizError(
                    f"{content.name} expands to more than {limit >> 20:,} MB, the most that is taken here; unpack it and open the "
                    "file inside by its path, or take a part of it."
                )
            if expanded > max(FREE, MAX_RATIO * file.tell()):
                raise RedvizError(
                    f"{content.name} expands to more than {MAX_RATIO} times its size ({expanded >> 20:,} MB were read), "
                    "which no text does; unpack it and check what it holds."
                )
            yield block


def _lines(blocks: Iterable[bytes]) -> Iterator[bytes | BadValue]:
    """Lines ended by a line feed alone, none held beyond ``MAX_LINE``."""
    pending: list[bytes] = []
    held = 0
    for block in blocks:
        first, *others = block.split(b"\n")
        for n, piece in enumerate([first, *others]):
            if n:
                yield b"".join(pending) if held <= MAX_LINE else BadValue(f"longer than {MAX_LINE >> 20} MB")
                pending, held = [], 0
            held += len(piece)
            if held <= MAX_LINE:
                pending.append(piece)
            else:
                pending.clear()
    if held:
        yield b"".join(pending) if held <= MAX_LINE else BadValue(f"longer than {MAX_LINE >> 20} MB")


def _jsonl(content: Content, counted: bool, blocks: Callable[[Content], Iterator[bytes]] = Content.blocks) -> Rows:
    lines = (line for line in _lines(blocks(content)) if isinstance(line, BadValue) or line.strip())
    return Rows(sum(1 for _ in lines) if counted else None, lambda: jsonl_rows(_lines(blocks(content))))


def _text(content: Content, most: int) -> str:
    if content.size > most:
        raise RedvizError(
            f"{content.name} has {content.size >> 20:,} MB, and a file of its kind is read whole, up to {most >> 20} MB; "
            "save it as JSONL, which is read line by line."
        )
    raw = b"".join(content.blocks())
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise RedvizError(f"{content.name} is not UTF-8 (byte {error.start + 1}); save it in that encoding.") from None
    if "\0" in text:
        raise RedvizError(
            f"{content.name} holds null bytes (character {text.index(chr(0)) + 1}); save it as text in UTF-8."
        )
    return text


def _json(content: Content, counted: bool) -> Rows:
    with content.open() as file:
        first = _read(file, BLOCK, content.name).removeprefix(b"\xef\xbb\xbf").lstrip()
    head, _, rest = first.partition(b"\n")
    if head.startswith(b"{") and rest.strip() and isinstance(parsed(head.decode("utf-8", "replace")), dict):
        return _jsonl(content, counted)  # the Hub has many .json files of one object per line
    rows = _listed(_text(content, MAX_JSON), content.name)
    return Rows(len(rows), lambda: enumerate(rows, 1))


def _csv(content: Content, counted: bool) -> Rows:
    def read() -> Numbered:
        with content.stream() as file, io.TextIOWrapper(file, "utf-8-sig", newline="") as text:
            yield from csv_rows(text, content.name)

    return Rows(sum(1 for _ in read()) if counted else None, read)


def _txt(content: Content, counted: bool) -> Rows:
    rows = list(txt_rows(_text(content, MAX_TEXT)))
    return Rows(len(rows), lambda: iter(rows))


TEXTS: dict[str, Callable[[Content, bool], Rows]] = {
    ".jsonl": _jsonl,
    ".jsonl.gz": lambda content, counted: _jsonl(content, counted, _gzip_blocks),
    ".json": _json,
    ".csv": _csv,
    ".tsv": _csv,
    ".txt": _txt,
}
ENDINGS = (*TEXTS, ".parquet", ".arrow")
