"""What anybody may learn of a report whose code they have: genuine, superseded, revoked. Nothing else.

A code follows from the report and from what a rendering of it was made from, under a key, so that nobody
guesses one and the same inputs give the same file. The page names no trial, no person, no period; whoever
has no code gets one answer for whatever they try.
"""

from __future__ import annotations

import hmac
import re
from base64 import b32encode
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from reporting_pipeline.domain.keyring import Keyring
from reporting_pipeline.languages import words_for
from reporting_pipeline.languages.marking import N_
from reporting_pipeline.settings import Settings
from reporting_pipeline.stores.mongo import Database
from reporting_pipeline.stores.reports import StoredReport, report_with_code

CODE_CHARACTERS = 16  # of 32: 80 bits
_CODE = re.compile(r"[a-z2-7]{16}", re.ASCII)
DIGEST = re.compile(r"[0-9a-f]{64}", re.ASCII)

#: What may be wrong with a file or hash that somebody sends to have it compared.
UNREADABLE = N_("the form could not be read; send multipart/form-data")
NOTHING_SENT = N_("choose a file, or write its SHA-256")
NO_DIGEST = N_("sha256: a SHA-256 has 64 hexadecimal digits")


class Standing(StrEnum):
    """What is known of the rendering behind a code."""

    GENUINE = "genuine"
    SUPERSEDED = "superseded"
    REVOKED = "revoked"


@dataclass(frozen=True)
class Verification:
    """`same`: whether a file somebody has is the one the code is on; None where none was compared."""

    standing: Standing
    since: datetime | None = None  # when it was superseded or revoked, UTC
    same: bool | None = None


def verification_prefix(settings: Settings) -> str:
    """The address up to the code."""
    return f"{settings.public_url.rstrip('/')}/v/"


def verification_code(settings: Settings, report: str, input_version: str) -> str:
    """Sixteen letters and digits that nobody mistakes for one another."""
    keys = Keyring.read(settings.link_secret.get_secret_value()).derived("verify-report")
    signed = keys.sign(f"{report}|{input_version}".encode())
    return b32encode(signed).decode()[:CODE_CHARACTERS].lower()


def written_code(text: str) -> str | None:
    """A code as somebody typed it; None for what is none, which is not looked up."""
    code = text.strip().replace("-", "").lower()
    return code if _CODE.fullmatch(code) else None


def verify_code(database: Database, code: str, digest: str | None = None) -> Verification | None:
    """What is known of the rendering with a code; None for every other code.

    `digest`: the SHA-256 (hexadecimal) of a file that somebody has, to be compared.
    """
    report = report_with_code(database, code)
    if report is None:
        return None
    rendering = _rendering(report, code)
    same = None if digest is None else hmac.compare_digest(digest, str(rendering["sha256"]))
    revoked = rendering.get("revoked")
    if isinstance(revoked, Mapping):
        return Verification(Standing.REVOKED, revoked.get("at"), same)
    if later := _later_ones(report, rendering):
        return Verification(Standing.SUPERSEDED, later[0], same)
    return Verification(Standing.GENUINE, None, same)


def _rendering(report: StoredReport, code: str) -> Mapping[str, Any]:
    if report.code == code:
        return report.__dict__
    return next(one for one in reversed(report.superseded) if one.get("code") == code)


def _later_ones(report: StoredReport, rendering: Mapping[str, Any]) -> list[datetime]:
    """When those were made that took its place, the first first, but for what nobody has been given yet."""
    later: list[datetime] = []
    for one in (report.__dict__, *reversed(report.superseded)):
        if one["sha256"] == rendering["sha256"]:
            break
        later += [] if one.get("awaiting_release") else [one["rendered_at"]]
    return later[::-1]


def verification_page(code: str, found: Verification | None, problem: str = "", browser: str = "") -> str:
    """HTML for a person, in the language of the `browser` (its Accept-Language).

    `problem`: what was wrong with what they sent, one of `UNREADABLE`, `NOTHING_SENT` and `NO_DIGEST`.
    """
    from reporting_pipeline.delivery.message import templates  # who draws reports needs no template

    template = templates().get_template("verify.html.j2")
    return template.render(code=code, found=found, problem=problem, say=words_for(browser=browser))
