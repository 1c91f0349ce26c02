"""Every text of a file, also where no program shows it: metadata, structure, statistics, left-over parts."""

from __future__ import annotations

import io
import re
import zipfile
import zlib
from collections.abc import Iterator
from typing import Any

import pikepdf
import pyarrow.parquet as pq

from reporting_pipeline_tests.reports.reading import page_texts

_STREAM = re.compile(rb"stream\r?\n(.*?)\r?\nendstream", re.DOTALL)


def every_text(content: bytes) -> str:
    """All that a file holds, as text: its bytes as they are, and opened by what they are, part in part."""
    return "\n".join(_texts(content))


def left_over(content: bytes) -> list[str]:
    """The objects of a PDF that nothing leads to, though a program may find them.

    But what each reader's part brings for every body (`binding.py`), also where it has one page and no link:
    the running header, and the address below which figures lead on.
    """
    with pikepdf.open(io.BytesIO(content)) as file:
        reached = {one.objgen for one in _reached(file.trailer)}
        found = [one for one in file.objects if isinstance(one, pikepdf.Object) and one.is_indirect]
        return [repr(one) for one in found if one.objgen not in reached and not _of_every_tail(one)]


def _of_every_tail(one: pikepdf.Object) -> bool:
    if isinstance(one, pikepdf.Stream):
        packed = one.get("/Type") in ("/ObjStm", "/XRef")
        return packed or one.read_bytes().startswith(b"/Artifact<</Type/Pagination")
    return isinstance(one, pikepdf.Dictionary) and list(one.keys()) == ["/Base"]


def _texts(content: bytes) -> Iterator[str]:
    yield content.decode("latin-1")
    yield content.decode("utf-8", "ignore")
    if content.startswith(b"%PDF"):
        yield from _of_pdf(content)
    elif content.startswith(b"PK\x03\x04"):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            yield archive.comment.decode("latin-1")
            for member in archive.infolist():
                yield f"{member.filename} {member.comment!r} {member.extra!r}"
                yield from _texts(archive.read(member))
    elif content.startswith(b"PAR1"):
        yield from _of_parquet(content)


def _of_pdf(content: bytes) -> Iterator[str]:
    yield from page_texts(content)
    for stream in _STREAM.findall(content):  # also what no table names
        try:
            plain = zlib.decompressobj().decompress(stream)
        except zlib.error:
            continue
        yield plain.decode("latin-1")
        yield plain.decode("utf-16-be", "ignore")
    with pikepdf.open(io.BytesIO(content)) as file:
        for one in file.objects:
            yield from _strings(one, set())
        with file.open_metadata() as told:
            yield str(told)


def _strings(one: Any, seen: set[tuple[int, int]]) -> Iterator[str]:
    if isinstance(one, pikepdf.Stream) and one.get("/Subtype") != "/Image":
        yield one.read_bytes().decode("latin-1")
    if isinstance(one, (pikepdf.Dictionary, pikepdf.Stream)):
        for name, value in one.items():
            yield name
            if not _is_elsewhere(value):
                yield from _strings(value, seen)
    elif isinstance(one, pikepdf.Array):
        for value in one:
            if not _is_elsewhere(value):
                yield from _strings(value, seen)
    else:
        yield str(one)


def _is_elsewhere(value: Any) -> bool:
    return isinstance(value, pikepdf.Object) and value.is_indirect


def _reached(root: pikepdf.Object) -> Iterator[pikepdf.Object]:
    seen: set[tuple[int, int]] = set()
    waiting: list[Any] = [root]
    while waiting:
        one = waiting.pop()
        if not isinstance(one, pikepdf.Object):
            continue
        if one.is_indirect:
            if one.objgen in seen:
                continue
            seen.add(one.objgen)
            yield one
        if isinstance(one, (pikepdf.Dictionary, pikepdf.Stream)):
            waiting += [value for _, value in one.items()]
        elif isinstance(one, pikepdf.Array):
            waiting += list(one)


def _of_parquet(content: bytes) -> Iterator[str]:
    file = pq.ParquetFile(io.BytesIO(content))
    yield str(file.schema_arrow.metadata)
    yield str(file.metadata.metadata)
    yield str(file.read().to_pydict())
    for group in range(file.metadata.num_row_groups):
        for column in range(file.metadata.num_columns):
            told = file.metadata.row_group(group).column(column).statistics
            yield f"{told and (told.min, told.max)}"
