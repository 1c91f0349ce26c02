"""Hostile lines of JSON: each has an answer of its own, keeps no other out, and nothing is guessed."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator

import pytest
import requests

from reporting_pipeline.api.document_lines import MOST_LINE_BYTES, grouped_lines
from reporting_pipeline_tests.attacks.world import World

LINES = {"Content-Type": "application/x-ndjson"}
FINE = {"trial": "T1", "site": "701", "kind": "note", "title": "A note", "data": {"a": 1}}


def with_text(name: str, text: str) -> bytes:
    """A document one of whose fields is written as `text` of JSON."""
    members = {**{field: json.dumps(value) for field, value in FINE.items()}, name: text}
    return ("{" + ", ".join(f'"{field}": {value}' for field, value in members.items()) + "}").encode()


def send(world: World, body: bytes, **headers: str) -> requests.Response:
    return world.person("service", "all").post(
        "/api/documents:batch", data=body, headers={**LINES, **headers}
    )


HOSTILE = {
    "a member twice": b'{"trial": "T2", ' + json.dumps(FINE).encode()[1:],
    "a member of the payload twice": with_text("data", '{"term": "A", "term": "B"}'),
    "a member twice, deep down": with_text("data", '{"rows": [{"value": 1, "value": 2}]}'),
    "a surrogate alone": with_text("title", '"a\\ud800b"'),
    "a surrogate alone in an id": with_text("id", '"\\udfff"'),
    "a surrogate alone in a note": with_text("note", '"\\ud83d"'),
    "a surrogate alone in a name": with_text("data", '{"\\ud800": 1}'),
    "no number": with_text("data", '{"value": NaN}'),
    "more than there is": with_text("data", '{"value": 1e999}'),
    "a number of ten thousand digits": with_text("data", '{"value": ' + "9" * 10_000 + "}"),
    "a number too large to keep": with_text("data", '{"value": 18446744073709551616}'),
    "an operator": with_text("data", '{"$where": "sleep(1)"}'),
    "a reference": with_text("data", '{"a": {"$ref": "users", "$id": "x"}}'),
    "nested deeply": with_text("data", '{"a":' * 60 + "1" + "}" * 60),
    "nested without end": b"[" * 200_000,
    "a nil byte in a name": with_text("data", '{"a\\u0000b": 1}'),
    "a nil byte": with_text("site", '"701\\u0000"'),
    "no text": b"\xff\xfe\xfd{}",
    "another encoding": json.dumps(FINE).encode("utf-16"),
    "a list": b"[1, 2]",
    "a word": b'"trial"',
    "two documents in a line": json.dumps(FINE).encode() * 2,
    "a comment": json.dumps(FINE).encode() + b" // fine",
    "single quotes": str(FINE).encode(),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_line_is_refused_alone(world: World, name: str) -> None:
    before = world.database.documents.count_documents({})
    fine = [json.dumps({**FINE, "id": f"{name} {number}"}).encode() for number in range(2)]
    answer = send(world, b"\n".join([fine[0], HOSTILE[name], fine[1]]))
    assert answer.status_code == 200, answer.text
    found = [json.loads(one) for one in answer.text.splitlines()]
    assert [one["state"] for one in found] == ["stored", "refused", "stored"], found
    assert found[1]["errors"][0]["detail"]
    assert world.database.documents.count_documents({}) == before + 2
    assert world.person("service", "all").get("/api/documents").status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        b"\xef\xbb\xbf%s\n%s\n",  # as Windows writes a file
        b"%s\r\n%s\r\n",
        b"%s\n%s",  # no end of the last line
        b"\n\n%s\n  \t\n%s\n\n",
    ],
)
def test_how_a_file_is_written_changes_nothing(world: World, body: bytes) -> None:
    lines = [json.dumps({**FINE, "id": f"{body!r} {number}"[:200]}).encode() for number in range(2)]
    found = [json.loads(one) for one in send(world, body % tuple(lines)).text.splitlines()]
    assert [(one["line"], one["state"]) for one in found] == [(1, "stored"), (2, "stored")], found


@pytest.mark.parametrize("coding", ["gzip", "br", "gzip, identity", "x-unknown"])
@pytest.mark.parametrize("path", ["/api/documents:batch", "/api/subscriptions"])
def test_a_body_that_is_packed_is_refused_before_it_is_read(world: World, path: str, coding: str) -> None:
    """It would be lines that are no JSON, or a bomb."""
    kind = LINES if path.endswith("batch") else {"Content-Type": "application/json"}
    answer = world.person("service", "all").post(
        path, data=gzip.compress(json.dumps(FINE).encode()), headers={**kind, "Content-Encoding": coding}
    )
    assert answer.status_code == 415
    assert "Content-Encoding" in answer.json()["detail"]


def grouped(chunks: list[bytes]) -> list[bytes]:
    async def sent() -> AsyncIterator[bytes]:
        for chunk in chunks:
            yield chunk

    async def read() -> list[bytes]:
        return [line async for group in grouped_lines(sent(), 500, 10_000) for line in group.lines]

    return asyncio.run(read())


def test_a_long_line_in_small_pieces_is_copied_once_and_not_for_each_piece() -> None:
    """Else one request of nine megabytes holds every other up: the loop that serves them all does it."""

    class Counted(bytes):
        """Bytes that count what is added to them."""

    copied = 0

    class Piece(Counted):
        def __radd__(self, before: bytes) -> bytes:
            nonlocal copied
            copied += len(before)
            return bytes(before) + bytes(self)

    pieces: list[bytes] = [Piece(b"x" * 1_000) for _ in range(2_000)]
    assert grouped([*pieces, b"\n{}\n"]) == [b"x" * 2_000_000, b"{}"]
    assert copied <= 2_000_000


def test_a_line_that_does_not_end_is_given_up_and_the_next_one_read() -> None:
    piece = b"x" * 1_000_000
    found = grouped([piece] * (MOST_LINE_BYTES // len(piece) + 3) + [b"tail\n{}\n"])
    assert [len(line) < 100 for line in found] == [True, True]
    assert found[-1] == b"{}"
