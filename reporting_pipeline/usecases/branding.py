"""The logo on an organisation's reports: looked at in a confined process, made small, kept by its content.

A logo that was replaced stays: a report that was made with it can be made again.
"""

from __future__ import annotations

from datetime import datetime
from hashlib import sha256

from reporting_pipeline.domain.branding import MOST_LOGO_BYTES
from reporting_pipeline.media.sandbox import MediaWorkers
from reporting_pipeline.stores import audit, organisations
from reporting_pipeline.stores.mongo import Database, Record
from reporting_pipeline.stores.objects import ObjectStore

#: Pixels of its longer side: 4 cm in print at 300 dpi.
SIDE = 480
_SIGNATURES = {b"\x89PNG\r\n\x1a\n": "logo.png", b"\xff\xd8\xff": "logo.jpg"}


class LogoInvalid(ValueError):
    """No picture that can stand on a report; the message says what to do."""


def logo_key(organisation: str, digest: str) -> str:
    """Where a logo lies; `digest`: SHA-256 of the JPEG, in hexadecimal."""
    return f"logos/{sha256(organisation.encode()).hexdigest()[:16]}/{digest}.jpg"


def set_logo(
    database: Database,
    objects: ObjectStore,
    organisation: str,
    image: bytes | None,
    actor: str,
    now: datetime,
    *,
    home: str,
) -> Record:
    """Put a logo in the place of the one that stands; None takes it away. Noted in the log of `home`.

    Raises LogoInvalid, or OrganisationMissing.
    """
    if organisations.get(database, organisation) is None:
        raise organisations.OrganisationMissing(organisation)
    logo = None
    if image is not None:
        jpeg, width, height = _small(image)
        digest = sha256(jpeg).hexdigest()
        key = logo_key(organisation, digest)
        objects.put(key, jpeg, "image/jpeg")
        logo = {"sha256": digest, "key": key, "width": width, "height": height}
    kept = organisations.keep_logo(database, organisation, logo)
    told = {"sha256": logo["sha256"] if logo else None}
    audit.record(
        database, audit.AuditAction.LOGO_CHANGED, actor, organisation, now, organisation=home, details=told
    )
    return kept


def _small(image: bytes) -> tuple[bytes, int, int]:
    """(JPEG, its width and height in pixels)."""
    if len(image) > MOST_LOGO_BYTES:
        raise LogoInvalid(f"the file has {len(image):,} bytes; at most {MOST_LOGO_BYTES:,} are taken")
    name = next((name for begin, name in _SIGNATURES.items() if image.startswith(begin)), None)
    if name is None:
        raise LogoInvalid("the file is neither PNG nor JPEG")
    with MediaWorkers(workers=1, max_side=SIDE) as workers:
        seen = workers.inspect(image, name, sha256(image).hexdigest(), len(image))
    if seen.thumbnail is None:
        raise LogoInvalid(f"the picture cannot be read: {seen.verdict.reason}")
    small = seen.thumbnail
    if max(small.width, small.height) > 12 * min(small.width, small.height):
        raise LogoInvalid("the picture is a line: one side is more than 12 times the other")
    return small.jpeg, small.width, small.height
