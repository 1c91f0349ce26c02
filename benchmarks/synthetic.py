"""The data of the benchmarks: trials of one organisation, and subscriptions to filtered reports of them.

Every trial has about eighty documents a week with four pictures; twenty filter sets each leave reports
of four to eight pages. `subscriptions` are spread evenly: 10,000 over 50 trials and 20 filter sets are
ten to a body. Ids are opaque and in no order, as the API gives them.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from hashlib import sha256
from itertools import islice
from random import Random
from zoneinfo import ZoneInfo

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from reporting_pipeline.domain.documents import Kind
from reporting_pipeline.domain.periods import Cadence, Period
from reporting_pipeline.domain.schedules import Schedule
from reporting_pipeline.domain.subscriptions import Filters, Recipient, Subscription
from reporting_pipeline.samples.subscribers import PEOPLE
from reporting_pipeline.samples.synthetic_trial import FIRST_DOSE, SITES, trial_record, week_records
from reporting_pipeline.stores.documents import Arrival, document_id, ingest_many, upsert_trial
from reporting_pipeline.stores.mongo import Database, Record
from reporting_pipeline.stores.objects import ObjectStore
from reporting_pipeline.stores.subscriptions import to_record

ORGANISATION = "default"
TRIALS = 50
FILTER_SETS = 20
PICTURES = 4
BATCH = 1_000
_KINDS = (Kind.LAB, Kind.VITALS, Kind.ADVERSE_EVENT, Kind.VISIT, Kind.DISPOSITION)
_SITE_IDS = tuple(site.id for site in SITES)


def trial_id(number: int) -> str:
    return f"BENCH-{number:03d}"


def filter_sets(trial: str) -> list[Filters]:
    """Twenty different selections of one trial; each leaves most of it."""
    pairs = [(first, first + 1) for first in range(5)]
    return [
        Filters(trials=(trial,)),
        *(Filters(trials=(trial,), sites=_without(site)) for site in range(len(_SITE_IDS))),
        *(Filters(trials=(trial,), sites=_without(*pair)) for pair in pairs),
        *(Filters(trials=(trial,), kinds=_kinds_without(kind)) for kind in _KINDS),
        Filters(trials=(trial,), sites=_SITE_IDS[::2]),
    ]


def load_trials(
    database: Database, objects: ObjectStore, period: Period, count: int = TRIALS, pictures: int = PICTURES
) -> int:
    """Take in `count` trials with the documents of `period` and of the one before; returns how many."""
    documents = 0
    for number in range(count):
        upsert_trial(database, {**trial_record(ORGANISATION), "_id": trial_id(number)})
        taken = ingest_many(database, objects, arrivals(number, period, pictures), period.end_at)
        documents += len(taken.created)
    return documents


def load_subscriptions(database: Database, count: int, now: datetime, trials: int = TRIALS) -> None:
    """Add `count` people with one weekly subscription each, due on Monday at 00:00 where they live.

    They have stood for a week; their next due time lies after `now`, so that the edition alone plans.
    """
    numbers = iter(range(count))
    while batch := list(islice(numbers, BATCH)):
        users = [user(number) for number in batch]
        subscriptions = [
            to_record(subscription(number, user, now - timedelta(weeks=1), trials), now)
            for number, user in zip(batch, users, strict=True)
        ]
        database.users.insert_many(users, ordered=False)
        database.subscriptions.insert_many(subscriptions, ordered=False)


def _without(*positions: int) -> tuple[str, ...]:
    return tuple(site for position, site in enumerate(_SITE_IDS) if position not in positions)


def _kinds_without(left_out: Kind) -> tuple[Kind, ...]:
    return tuple(kind for kind in Kind if kind is not left_out)


def arrivals(number: int, period: Period, pictures: int) -> Iterator[Arrival]:
    """Each trial repeats other weeks of the synthetic trial, moved into the period."""
    trial, zone = trial_id(number), ZoneInfo(period.timezone)
    for monday in (period.start - timedelta(weeks=1), period.start):
        source = FIRST_DOSE + timedelta(weeks=2 * number + (monday == period.start))
        week = list(week_records(ORGANISATION, source, zone))
        for record in week:
            yield Arrival(_moved(record, trial, monday - source))
        for place in range(pictures if monday == period.start else 0):
            base = _moved(week[place * 7], trial, monday - source)
            yield _picture(base, trial, place)


def _moved(record: Record, trial: str, by: timedelta) -> Record:
    collected = date.fromisoformat(record["collected"]) + by
    return {
        **record,
        "_id": document_id(trial, record["_id"]),
        "trial": trial,
        "received_at": record["received_at"] + by,
        "collected": collected.isoformat(),
    }


def _picture(base: Record, trial: str, place: int) -> Arrival:
    record = {
        **base,
        "_id": document_id(trial, "picture", str(place), base["_id"]),
        "kind": Kind.IMAGING.value,
        "title": f"Slice {place + 1}",
        "note": None,
        "data": {},
        "file": {"name": f"slice-{place + 1}.jpg", "content_type": "image/jpeg"},
    }
    return Arrival(record, _jpeg(f"{trial} {place + 1}"))


def _jpeg(caption: str) -> bytes:
    """A photograph's size and grain, another one for each caption."""
    noise = np.random.default_rng(int(sha256(caption.encode()).hexdigest()[:8], 16))
    grey = Image.fromarray(noise.integers(0, 255, (36, 48), dtype=np.uint8)).resize((1600, 1200))
    grey = grey.filter(ImageFilter.GaussianBlur(8))
    ImageDraw.Draw(grey).text((40, 40), caption, fill=255)
    buffer = io.BytesIO()
    grey.save(buffer, "JPEG", quality=85)
    return buffer.getvalue()


def user(number: int) -> Record:
    name, zone = PEOPLE[number % len(PEOPLE)]
    return {
        "_id": f"usr_{_mark('user', number)}",
        "organisation": ORGANISATION,
        "name": f"{name} {number}",
        "email": f"reader-{number}@example.org",
        "roles": ["subscriber"],
        "trials": "all",
        "audience": "monitor",
        "timezone": zone,
        "active": True,
    }


def subscription(number: int, user: Record, created_at: datetime, trials: int) -> Subscription:
    trial = trial_id(number % trials)
    choice = number // trials % FILTER_SETS
    return Subscription(
        id=f"sub_{_mark('subscription', number)}",
        organisation=ORGANISATION,
        owner=user["_id"],
        name=f"{trial}, selection {choice + 1}",
        filters=filter_sets(trial)[choice],
        schedule=Schedule(cadence="weekly", day_of_week=1, time="00:00", timezone=user["timezone"]),
        window=Cadence.WEEKLY,
        recipients=(Recipient(type="email", value=user["email"]),),
        created_at=created_at,
        updated_at=created_at,
    )


def _mark(what: str, number: int) -> str:
    return f"{Random(f'{what} {number}').getrandbits(96):024x}"


def week_of(trials: int, documents: int, period: Period) -> Iterator[tuple[str, Sequence[Record]]]:
    """About `documents` records spread over `trials`, as read from MongoDB, trial by trial."""
    zone = ZoneInfo(period.timezone)
    for number in range(trials):
        trial = trial_id(number)
        rows: list[Record] = []
        turn = 0
        while len(rows) < documents // trials:
            source = FIRST_DOSE + timedelta(weeks=turn)
            for record in week_records(ORGANISATION, source, zone):
                moved = _moved(record, trial, period.start - source)
                moved["_id"] = document_id(trial, str(turn), record["_id"])
                rows.append({**moved, "updated_at": period.end_at})
            turn += 1
        yield trial, rows[: documents // trials]
