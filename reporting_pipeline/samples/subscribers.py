"""Invented people in many scripts, and their subscriptions with differing filters.

Everybody is due on Monday at 00:00 in a timezone at or east of UTC, so that all reports of a week may
go out as soon as it has closed in UTC. The same count gives the same people and the same ids; what
stands already is left as people have changed it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from itertools import cycle, islice

from reporting_pipeline.domain.documents import Kind
from reporting_pipeline.domain.entitlements import ALL, Audience, Entitlements
from reporting_pipeline.domain.periods import Cadence
from reporting_pipeline.domain.schedules import Schedule
from reporting_pipeline.domain.subscriptions import Filters, Format, Recipient, Subscription
from reporting_pipeline.samples import cdisc_pilot, synthetic_trial
from reporting_pipeline.stores.mongo import Database, Record, add_missing

#: name, timezone at or east of UTC
PEOPLE: Sequence[tuple[str, str]] = (
    ("Zoë Müller-Lüdenscheidt", "Europe/Zurich"),
    ("Ἀριστείδης Παπαδόπουλος", "Europe/Athens"),
    ("Анна Кузнецова", "Europe/Sofia"),
    ("محمد عبد الله الأنصاري", "Asia/Riyadh"),
    ("דוד בן־גוריון", "Asia/Jerusalem"),
    ("王小明", "Asia/Shanghai"),
    ("佐藤 さくら", "Asia/Tokyo"),
    ("김서연", "Asia/Seoul"),
    ("अनन्या शर्मा", "Asia/Kolkata"),
    ("สมชาย ใจดี", "Asia/Bangkok"),
    ("Łukasz Żółkiewski", "Europe/Warsaw"),
    ("Nguyễn Thị Ánh Tuyết", "Asia/Ho_Chi_Minh"),
    ("Þórdís Guðmundsdóttir", "Atlantic/Reykjavik"),
    ("Søren Ærøskøbing", "Europe/Copenhagen"),
    ("Οδυσσέας Ελύτης", "Asia/Nicosia"),
    ("Дмитро Ґалаґан", "Europe/Kyiv"),
    ("فاطمة الزهراء بنت علي", "Africa/Cairo"),
    ("שירה כהן", "Asia/Jerusalem"),
    ("陳美玲", "Asia/Taipei"),
    ("鈴木 ケンジ", "Asia/Tokyo"),
    ("박지훈", "Asia/Seoul"),
    ("राजेश कुमार", "Asia/Kolkata"),
    ("นภา ศรีสุวรรณ", "Asia/Bangkok"),
    ("Émilie d’Aubigné", "Europe/Paris"),
    ("Jānis Bērziņš", "Europe/Riga"),
    ("İbrahim Çağlayan", "Europe/Istanbul"),
    ("Ştefan Țărnă", "Europe/Bucharest"),
    ("Siobhán Ní Dhomhnaill", "Europe/Dublin"),
    ("Björk Strømgren", "Europe/Oslo"),
    ("Αικατερίνη Ζωγράφου", "Europe/Athens"),
)

PILOT = cdisc_pilot.TRIAL
ONCOLOGY = synthetic_trial.TRIAL

#: What people ask for, each the filters and the subscription's name. Several are equal to one another
#: on purpose: their reports share everything but the cover.
WISHES: Sequence[tuple[str, Filters]] = (
    ("Everything", Filters()),
    ("Xanomeline trial, whole", Filters(trials=(PILOT,))),
    ("Oncology trial, whole", Filters(trials=(ONCOLOGY,))),
    ("Site 701", Filters(trials=(PILOT,), sites=("701",))),
    ("Adverse events everywhere", Filters(kinds=(Kind.ADVERSE_EVENT,))),
    ("Xanomeline trial, whole", Filters(trials=(PILOT,))),
    ("Laboratory of the xanomeline trial", Filters(trials=(PILOT,), kinds=(Kind.LAB, Kind.LAB_SHEET))),
    ("Sites 708 to 710", Filters(trials=(PILOT,), sites=("708", "709", "710"))),
    ("Images and ECG strips", Filters(kinds=(Kind.IMAGING, Kind.ECG))),
    ("Everything", Filters()),
    ("Safety: events and laboratory", Filters(kinds=(Kind.ADVERSE_EVENT, Kind.LAB))),
    ("Site 716, safety", Filters(trials=(PILOT,), sites=("716",), kinds=(Kind.ADVERSE_EVENT, Kind.LAB))),
    ("Oncology imaging", Filters(trials=(ONCOLOGY,), kinds=(Kind.IMAGING,))),
    ("Oncology in Asia", Filters(trials=(ONCOLOGY,), sites=("TYO-1", "SEL-1", "DEL-1"))),
    ("Visits and dispositions", Filters(kinds=(Kind.VISIT, Kind.DISPOSITION))),
    ("Vital signs at 704", Filters(trials=(PILOT,), sites=("704",), kinds=(Kind.VITALS,))),
    ("PDF files", Filters(file_types=("pdf",))),
    ("Pictures", Filters(file_types=("png", "jpg"))),
    ("Sites 708 to 710", Filters(trials=(PILOT,), sites=("710", "709", "708"))),
    # One subject, who has left: a week without documents is a report, too.
    ("Dispositions at 702", Filters(trials=(PILOT,), sites=("702",), kinds=(Kind.DISPOSITION,))),
)

#: Mostly PDF. 23 against 20 wishes and 30 people: no wish keeps one format.
FORMATS: Sequence[Format] = (
    *(Format.PDF,) * 8,
    Format.CSV,
    *(Format.PDF,) * 7,
    Format.XLSX,
    *(Format.PDF,) * 5,
    Format.HTML,
)


@dataclass(frozen=True)
class Subscribers:
    """How many users and subscriptions were added; those that stood already are not counted."""

    users: int
    subscriptions: int


def make_subscribers(
    database: Database, count: int = 60, *, now: datetime, organisation: str = "default"
) -> Subscribers:
    """Add the organisation and `count` users with one subscription each. A second call changes nothing."""
    add_missing(database, "organisations", [organisation_record(organisation)])
    people = [
        (number, name, timezone) for number, (name, timezone) in enumerate(islice(cycle(PEOPLE), count))
    ]
    users = [user_record(number, name, timezone, organisation) for number, name, timezone in people]
    subscriptions = [
        subscription_record(make_subscription(number, user, now)) for number, user in enumerate(users)
    ]
    return Subscribers(
        add_missing(database, "users", users), add_missing(database, "subscriptions", subscriptions)
    )


def organisation_record(organisation: str) -> Record:
    """The sample organisation: its members' addresses are the only ones it may send to."""
    return {"_id": organisation, "name": "Sample Clinical Research", "allowed_domains": ["example.org"]}


def user_record(number: int, name: str, timezone: str, organisation: str) -> Record:
    """Sample user `number`. Every tenth may see one trial only, and every tenth two of its sites."""
    repeated = number // len(PEOPLE)
    return {
        "_id": f"usr_{_mark('user', organisation, number)}",
        "organisation": organisation,
        "name": f"{name} {repeated + 1}" if repeated else name,
        "email": f"subscriber-{number + 1:03d}@example.org",
        "roles": ["subscriber"],
        **_entitlements(number).as_record(),
        "timezone": timezone,
        "active": True,
    }


def _entitlements(number: int) -> Entitlements:
    if number % 10 == 9:
        return Entitlements((PILOT,))
    if number % 10 == 5:
        return Entitlements((PILOT,), {PILOT: ("701", "704")}, audience=Audience.SITE)
    return Entitlements(ALL)


def make_subscription(number: int, user: Record, now: datetime) -> Subscription:
    """The subscription of sample user `number`: weekly, Monday 00:00 where the user lives."""
    name, filters = WISHES[number % len(WISHES)]
    return Subscription(
        id=f"sub_{_mark('subscription', user['organisation'], number)}",
        organisation=user["organisation"],
        owner=user["_id"],
        name=name,
        filters=filters,
        schedule=Schedule(cadence="weekly", day_of_week=1, time="00:00", timezone=user["timezone"]),
        window=Cadence.WEEKLY,
        recipients=(Recipient(type="email", value=user["email"]),),
        format=FORMATS[number % len(FORMATS)],
        created_at=now,
        updated_at=now,
    )


def subscription_record(subscription: Subscription) -> Record:
    """`subscription` as kept in MongoDB: plain values, instants as datetimes, `id` as `_id`."""
    plain = subscription.model_dump(mode="json")
    plain.update(created_at=subscription.created_at, updated_at=subscription.updated_at)
    return {"_id": plain.pop("id"), **plain}


def _mark(*parts: object) -> str:
    return sha256("\x1f".join(map(str, ("sample", *parts))).encode()).hexdigest()[:16]
