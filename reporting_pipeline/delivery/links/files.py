"""Where a report's file is had, for a minute: from the bucket, or from the service, which opens a sealed one.

Who asks has been asked for their rights before; the address speaks for itself, as a presigned one does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from reporting_pipeline.delivery.links.tokens import file_token, read_file_token
from reporting_pipeline.domain.sealing import is_sealed
from reporting_pipeline.settings import Settings
from reporting_pipeline.stores.delivery_reads import report_records
from reporting_pipeline.stores.mongo import Database
from reporting_pipeline.stores.objects import ObjectStore

GOOD_FOR = timedelta(minutes=1)


@dataclass(frozen=True)
class HandedOut:
    """A file that a good address names."""

    key: str
    name: str
    content_type: str


def file_url(
    objects: ObjectStore, settings: Settings, report: str, file: Mapping[str, Any], name: str, now: datetime
) -> str:
    """A URL that downloads a rendering (`key`, `sha256`) of a report as `name`, and dies after GOOD_FOR."""
    if not is_sealed(file["key"]):
        return objects.presigned_url(file["key"], name, int(GOOD_FOR.total_seconds()))
    secret = settings.link_secret.get_secret_value()
    token = file_token(secret, report, file["sha256"], now + GOOD_FOR)
    return f"{settings.public_url.rstrip('/')}/r/file/{token}"


def file_behind(database: Database, settings: Settings, token: str, now: datetime) -> HandedOut | None:
    """The file that an address of `file_url` names; None for every other token, and where it is gone."""
    named = read_file_token(settings.link_secret.get_secret_value(), token, now)
    report = report_records(database, {named[0]}).get(named[0]) if named else None
    if named is None or report is None:
        return None
    for file in (report, *(report.get("superseded") or ())):
        if file.get("sha256") == named[1]:
            return HandedOut(file["key"], report["file_name"], report["content_type"])
    return None
