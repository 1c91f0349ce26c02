"""The form of a sealed file: chunks of AES-256-GCM under a key of its own, derived from a person's data key.

    magic (8 bytes) | id of the data key (16) | salt (16) | chunks, each with its tag (16)

The file's key is HKDF-SHA256 of the data key and the salt, so the nonces can count: 11 bytes of the chunk's
number, and one that is 1 for the last. A chunk that was changed, moved, cut off or added does not open, nor
does a file under another name: its key in the bucket is bound in. It is the STREAM construction of Hoang et
al. (https://eprint.iacr.org/2015/189), as age and Tink have it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from itertools import pairwise

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

MAGIC = b"RPSEAL1\n"
KEY_ID_BYTES = SALT_BYTES = TAG_BYTES = 16
HEADER_BYTES = len(MAGIC) + KEY_ID_BYTES + SALT_BYTES
CHUNK_BYTES = 1 << 16  # of what is sealed
#: How the key of a sealed file ends.
SEALED = ".sealed"


class SealBroken(ValueError):
    """It is no sealed file, was changed, or was sealed with another key."""


def is_sealed(key: str) -> bool:
    """Whether what lies under a key of the bucket is sealed."""
    return key.endswith(SEALED)


def sealed_size(size: int) -> int:
    """The bytes of a file of `size` bytes once it is sealed."""
    return HEADER_BYTES + size + TAG_BYTES * max(1, -(-size // CHUNK_BYTES))


def seal(content: bytes, data_key: bytes, key_id: bytes, name: str) -> bytes:
    """`content` sealed under a data key (32 bytes) of this id (16), to lie under the key `name`."""
    salt = os.urandom(SALT_BYTES)
    cipher = _cipher(data_key, salt)
    chunks = [content[at : at + CHUNK_BYTES] for at in range(0, len(content), CHUNK_BYTES)] or [b""]
    last = len(chunks) - 1
    sealed = [
        cipher.encrypt(_nonce(number, last=number == last), chunk, name.encode())
        for number, chunk in enumerate(chunks)
    ]
    return b"".join([MAGIC, key_id, salt, *sealed])


def key_id_of(header: bytes) -> bytes:
    """The id of the data key, from a file's first HEADER_BYTES. Raises SealBroken."""
    if len(header) != HEADER_BYTES or not header.startswith(MAGIC):
        raise SealBroken("it is no sealed file")
    return header[len(MAGIC) : len(MAGIC) + KEY_ID_BYTES]


def opened(header: bytes, rest: Iterable[bytes], data_key: bytes, name: str) -> Iterator[bytes]:
    """What was sealed, chunk by chunk. `rest` is what follows the header, in pieces of any size.

    Raises SealBroken at the first chunk that is not as it was; those before it were.
    """
    key_id_of(header)
    cipher = _cipher(data_key, header[-SALT_BYTES:])
    number = 0
    for number, (chunk, following) in enumerate(pairwise(_with_end(_chunks(rest)))):
        try:
            yield cipher.decrypt(_nonce(number, last=following is None), chunk or b"", name.encode())
        except InvalidTag:
            raise SealBroken(f"chunk {number} was changed, or sealed with another key") from None


def _chunks(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """In the lengths in which they were sealed."""
    whole, held = CHUNK_BYTES + TAG_BYTES, bytearray()
    for piece in pieces:
        held += piece
        while len(held) >= whole:
            yield bytes(held[:whole])
            del held[:whole]
    if held:
        yield bytes(held)


def _with_end(chunks: Iterator[bytes]) -> Iterator[bytes | None]:
    """And a None after the last; one empty chunk where there is none, which opens nowhere."""
    first = next(chunks, b"")
    yield first
    yield from chunks
    yield None


def _cipher(data_key: bytes, salt: bytes) -> AESGCM:
    return AESGCM(HKDF(SHA256(), 32, salt, b"reporting-pipeline/sealed file").derive(data_key))


def _nonce(number: int, *, last: bool) -> bytes:
    return number.to_bytes(11, "big") + bytes([last])
