"""Invented readers of every audience, and the report that is written for each.

They show what an audience changes: the same trial and week, for a participant in it, a site, a monitor, the
blinded sponsor and the unblinded safety board. Due when the sample subscribers are; the same ids each time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from reporting_pipeline.domain.entitlements import Audience, Entitlements
from reporting_pipeline.domain.periods import Cadence
from reporting_pipeline.domain.schedules import Schedule
from reporting_pipeline.domain.subscriptions import Filters, Format, Recipient, Subscription
from reporting_pipeline.samples.cdisc_pilot import TRIAL
from reporting_pipeline.samples.subscribers import Subscribers, subscription_record
from reporting_pipeline.stores.mongo import Database, Record, add_missing

#: A subject with visits, results and events in the busiest week.
SUBJECT = "01-710-1385"
SITE = "710"


@dataclass(frozen=True)
class Reader:
    """One person, what they may see, and the report they get: (type, its parameters, format)."""

    name: str
    entitlements: Entitlements
    report: tuple[str, Mapping[str, Any], Format]
    timezone: str = "UTC"
    language: str = ""
    called: str = ""  # the subscription's name; "": that of the report type


READERS: Mapping[str, Reader] = {
    "participant": Reader(
        "Maria Sommer (participant)",
        Entitlements((TRIAL,), subject=SUBJECT, audience=Audience.PARTICIPANT),
        ("my_participation", {}, Format.PDF),
        timezone="Europe/Zurich",
        language="de",
        called="Mein Teil der Studie",
    ),
    "site": Reader(
        "Owen Hughes (site 710)",
        Entitlements((TRIAL,), {TRIAL: (SITE,)}, audience=Audience.SITE),
        ("site_report", {}, Format.PDF),
        timezone="Europe/London",
    ),
    "monitor": Reader(
        "Inès Laurent (monitor)",
        Entitlements((TRIAL,), audience=Audience.MONITOR),
        ("trial_conduct", {}, Format.PDF),
        timezone="Europe/Paris",
    ),
    "data_manager": Reader(
        "Mei Tanaka (data manager)",
        Entitlements((TRIAL,), audience=Audience.MONITOR),
        ("data_listing", {"table": "labs", "where": {"flag": ["HIGH", "LOW"]}}, Format.XLSX),
        timezone="Asia/Tokyo",
    ),
    "sponsor": Reader(
        "Tomás Ribeiro (sponsor, blinded)",
        Entitlements((TRIAL,), audience=Audience.SPONSOR),
        ("safety_summary", {}, Format.PDF),
        timezone="Europe/Berlin",
    ),
    "safety_board": Reader(
        "Ada Okafor (safety board, unblinded)",
        Entitlements((TRIAL,), audience=Audience.SAFETY_BOARD),
        ("medical_review", {}, Format.PDF),
        timezone="Africa/Johannesburg",
    ),
}


def make_readers(database: Database, *, now: datetime, organisation: str = "default") -> Subscribers:
    """Add them with their subscriptions. A second call changes nothing."""
    users = [_user(key, reader, organisation) for key, reader in READERS.items()]
    records = [
        subscription_record(_subscription(key, reader, organisation, now)) for key, reader in READERS.items()
    ]
    return Subscribers(add_missing(database, "users", users), add_missing(database, "subscriptions", records))


def _user(key: str, reader: Reader, organisation: str) -> Record:
    return {
        "_id": f"usr_sample_{key}",
        "organisation": organisation,
        "name": reader.name,
        "email": f"{key.replace('_', '-')}@example.org",
        "roles": ["subscriber"],
        **reader.entitlements.as_record(),
        "timezone": reader.timezone,
        **({"language": reader.language} if reader.language else {}),
        "active": True,
    }


def _subscription(
    key: str,
    reader: Reader,
    organisation: str,
    now: datetime,
) -> Subscription:
    kind, parameters, form = reader.report
    return Subscription(
        id=f"sub_sample_{key}_{kind}",
        organisation=organisation,
        owner=f"usr_sample_{key}",
        name=reader.called or kind.replace("_", " ").capitalize(),
        report_type=kind,
        parameters=dict(parameters),
        filters=Filters(trials=(TRIAL,)),
        schedule=Schedule(cadence="weekly", day_of_week=1, time="00:00", timezone=reader.timezone),
        window=Cadence.WEEKLY,
        recipients=(Recipient(type="user", value=f"usr_sample_{key}"),),
        format=form,
        created_at=now,
        updated_at=now,
    )
