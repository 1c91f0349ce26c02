"""The square code on a cover, as operators.

A code differs from the next in the last characters of its address alone. A QR symbol of one version and
mask is linear over its bits, so that what one character changes is worked out once and laid over: 10
microseconds a code instead of a millisecond and a half for each of ten thousand.
"""

from __future__ import annotations

from functools import lru_cache

import segno

from reporting_pipeline.reports.pdf.surface import number

#: A fixed one: every reader takes each, and choosing the best would make eight symbols of each code.
MASK = 2
#: In the place of each character of a code that is not looked at.
_ANY = "a"


def square(prefix: str, code: str, x: float, y: float, side: float) -> str:
    """Operators that draw the address `prefix` + `code` as a black symbol with its lower left at (x, y)."""
    modules, bits = _size(prefix, len(code)), _plain(prefix, len(code))
    for place, character in enumerate(code):
        bits ^= _difference(prefix, len(code), place, character)
    width = -(-modules // 8) * 8
    rows = (bits >> (modules * (modules - 1 - row)) & ((1 << modules) - 1) for row in range(modules))
    data = "".join(f"{row << (width - modules):0{width // 4}x}" for row in rows)
    box = " ".join(map(number, (side, 0, 0, side, x, y)))
    return f"q 0 g {box} cm BI /W {modules} /H {modules} /IM true /BPC 1 /D [1 0] /F /AHx ID {data}> EI Q"


def _symbol(address: str) -> segno.QRCode:
    return segno.make_qr(address, error="m", mask=MASK, boost_error=False, mode="byte")


@lru_cache(maxsize=16)
def _size(prefix: str, length: int) -> int:
    return len(_symbol(prefix + _ANY * length).matrix)


@lru_cache(maxsize=16)
def _plain(prefix: str, length: int) -> int:
    return _bits(prefix + _ANY * length)


@lru_cache(maxsize=4_096)
def _difference(prefix: str, length: int, place: int, character: str) -> int:
    """The modules that another character in one place of the code turns over."""
    code = _ANY * place + character + _ANY * (length - place - 1)
    return _bits(prefix + code) ^ _plain(prefix, length)


def _bits(address: str) -> int:
    """All modules as one number, the first row first; 1 is dark."""
    return int("".join("".join(map(str, row)) for row in _symbol(address).matrix), 2)
