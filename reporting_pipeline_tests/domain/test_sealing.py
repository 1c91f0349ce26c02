"""What is sealed opens as it was, and in no other way: changed, cut, longer, moved or with another key."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reporting_pipeline.domain.sealing import (
    CHUNK_BYTES,
    HEADER_BYTES,
    KEY_ID_BYTES,
    TAG_BYTES,
    SealBroken,
    key_id_of,
    opened,
    seal,
    sealed_size,
)

KEY, KEY_ID, NAME = b"k" * 32, b"i" * KEY_ID_BYTES, "reports/weekly/2026-11-16/sub_1/x.pdf.sealed"
SIZES = (0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES)


def content_of(sealed: bytes, key: bytes = KEY, name: str = NAME, piece: int = 1 << 20) -> bytes:
    rest = sealed[HEADER_BYTES:]
    pieces = [rest[at : at + piece] for at in range(0, len(rest), piece)]
    return b"".join(opened(sealed[:HEADER_BYTES], pieces, key, name))


@pytest.mark.parametrize("size", SIZES)
def test_what_is_sealed_opens_and_has_the_size_that_is_foretold(size: int) -> None:
    content = bytes(number % 251 for number in range(size))
    sealed = seal(content, KEY, KEY_ID, NAME)
    assert len(sealed) == sealed_size(size)
    assert key_id_of(sealed[:HEADER_BYTES]) == KEY_ID
    assert content_of(sealed) == content
    assert sealed != seal(content, KEY, KEY_ID, NAME), "no two seals are alike"


@given(st.binary(max_size=500), st.integers(min_value=1, max_value=70))
def test_pieces_of_any_size_come_to_the_same(content: bytes, piece: int) -> None:
    assert content_of(seal(content, KEY, KEY_ID, NAME), piece=piece) == content


CHUNK = CHUNK_BYTES + TAG_BYTES
TAMPERINGS: dict[str, Callable[[bytes], bytes]] = {
    "a bit": lambda sealed: sealed[:-1] + bytes([sealed[-1] ^ 1]),
    "the salt": lambda sealed: sealed[: HEADER_BYTES - 1] + b"?" + sealed[HEADER_BYTES:],
    "the last byte cut": lambda sealed: sealed[:-1],
    "the last chunk cut": lambda sealed: sealed[: HEADER_BYTES + 2 * CHUNK],
    "all chunks cut": lambda sealed: sealed[:HEADER_BYTES],
    "a byte added": lambda sealed: sealed + b"?",
    "the first chunk again": lambda sealed: sealed + sealed[HEADER_BYTES : HEADER_BYTES + CHUNK],
    "chunks swapped": lambda sealed: (
        sealed[:HEADER_BYTES]
        + sealed[HEADER_BYTES + CHUNK : HEADER_BYTES + 2 * CHUNK]
        + sealed[HEADER_BYTES : HEADER_BYTES + CHUNK]
        + sealed[HEADER_BYTES + 2 * CHUNK :]
    ),
    "the form": lambda sealed: b"RPSEAL2\n" + sealed[8:],
    "nothing": lambda _: b"",
}


@pytest.mark.parametrize("tampering", TAMPERINGS)
def test_what_was_changed_does_not_open(tampering: str) -> None:
    sealed = seal(bytes(2 * CHUNK_BYTES + 5), KEY, KEY_ID, NAME)
    with pytest.raises(SealBroken):
        content_of(TAMPERINGS[tampering](sealed))


def test_it_opens_with_its_key_and_under_its_name_alone() -> None:
    sealed = seal(b"content", KEY, KEY_ID, NAME)
    with pytest.raises(SealBroken):
        content_of(sealed, key=b"o" * 32)
    with pytest.raises(SealBroken):
        content_of(sealed, name=NAME.replace("sub_1", "sub_2"))
