"""Addresses of webhooks are keys: whoever reads one can write there. So they are shown shortened.

Shown are the host and a mark that tells two of one host apart, `https://hooks.example.org/…3f9c1a7d`. Who
changes a subscription sends what they were shown for what shall stay.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from hashlib import sha256
from urllib.parse import urlsplit

from reporting_pipeline.domain.subscriptions import Recipient

#: No URL that is taken as a recipient holds it: they are ASCII.
CUT = "…"
_SHOWN = re.compile(rf"https?://[^\s/]*/{CUT}[0-9a-f]{{8}}")


def shown(value: str) -> str:
    """A recipient as it is told: of a URL its host and a mark, all others as they are."""
    if not value.casefold().startswith(("https://", "http://")) or is_shortened(value):
        return value
    try:
        parts = urlsplit(value)
        host = parts.hostname or ""
        place = host if parts.port is None else f"{host}:{parts.port}"
    except ValueError:
        parts, place = urlsplit("https://"), ""
    return f"{parts.scheme}://{place}/{CUT}{sha256(value.encode()).hexdigest()[:8]}"


def is_shortened(value: str) -> bool:
    """Whether this is what `shown` makes of a URL."""
    return _SHOWN.fullmatch(value) is not None


def restored(given: Iterable[Recipient], standing: Iterable[Recipient]) -> tuple[Recipient, ...]:
    """`given` with each shortened URL as it stands among `standing`; one that stands nowhere stays short."""
    known = {(one.type, shown(one.value)): one for one in standing}
    return tuple(known.get((one.type, one.value), one) if is_shortened(one.value) else one for one in given)
