"""Documents as lines of JSON over HTTP: the body in groups of lines, the answers as lines."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

from reporting_pipeline.usecases import documents as usecase

NDJSON = "application/x-ndjson"
MOST_LINE_BYTES = 9_000_000  # a payload has 8 MB at most
LINE_REQUEST = (
    '{"id": "ae-17", "trial": "CDISCPILOT01", "site": "701", "subject": "01-701-1015", '
    '"kind": "adverse_event", "title": "Syncope", "data": {"term": "SYNCOPE", "serious": "Y"}}\n'
)
LINE_EXAMPLE = (
    '{"line": 1, "state": "stored", "id": "doc_0a1b2c3d4e5f60718293a4b5", "external_id": "ae-17", '
    '"errors": [], "findings": []}\n'
)
LINE_ANSWERS = {
    "type": "string",
    "description": "Lines of line, state, id, external_id, errors and findings.",
}


@dataclass(frozen=True)
class Group:
    """Some lines of a body. `first` is the number of the first; an empty line has no number."""

    first: int
    lines: Sequence[bytes]
    surplus: bool = False  # more documents than a request may hold stand after these


async def grouped_lines(chunks: AsyncIterator[bytes], size: int, most: int) -> AsyncIterator[Group]:
    """The lines of a body, `size` at a time; what comes after `most` lines is read and forgotten."""
    waiting: list[bytes] = []
    number = 1
    async for line in _lines(chunks):
        if number + len(waiting) > most:
            yield Group(number, waiting, surplus=True)
            async for _ in chunks:  # a client that still sends would not hear the answer else
                pass
            return
        waiting.append(line)
        if len(waiting) == size:
            yield Group(number, waiting)
            number, waiting = number + size, []
    if waiting:
        yield Group(number, waiting)


def answered(caller: usecase.Caller, group: Group) -> list[bytes]:
    """Take in the documents of `group`; an answer for each line."""
    answers = [
        _answer(group.first + position, outcome)
        for position, outcome in enumerate(usecase.submit_lines(caller, group.lines))
    ]
    if group.surplus:
        detail = (
            f"a request may hold {usecase.MOST_IN_A_BATCH:,} documents; send this and the rest in another"
        )
        problem = {"pointer": "#", "detail": detail}
        answers.append(
            _line(line=group.first + len(group.lines), state="refused", errors=[problem], findings=[])
        )
    return answers


async def _lines(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Every line that is not blank, without its end; of one that is too long what shows that it is."""
    rest = bytearray()  # grows in place: a long line in small pieces is copied once
    skipping = False
    async for chunk in chunks:
        begun, *ended = chunk.split(b"\n")
        rest += b"" if skipping else begun
        for after in ended:
            line, rest = bytes(rest), bytearray(after)
            if line.strip():
                yield line
            skipping = False
        if len(rest) > MOST_LINE_BYTES:
            yield b"a line of more than 9 MB"  # is no JSON, and is refused as such
            rest, skipping = bytearray(), True
    if rest.strip():
        yield bytes(rest)


def _answer(number: int, outcome: usecase.DocumentOutcome) -> bytes:
    return _line(
        line=number,
        state=outcome.state,
        id=outcome.record.get("_id"),
        external_id=outcome.record.get("external_id") or None,
        errors=[{"pointer": one.pointer or "#", "detail": one.detail} for one in outcome.problems],
        findings=list(outcome.findings),
    )


def _line(**members: Any) -> bytes:
    return json.dumps(members).encode() + b"\n"
