"""A small trial with every kind of content, and requests for reports about it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from reporting_pipeline.domain.clinical.reading import Reading
from reporting_pipeline.domain.clinical.rows import rows_of
from reporting_pipeline.domain.datasets import TABLES, TrialDataset, table_from_rows
from reporting_pipeline.domain.periods import Cadence, Period
from reporting_pipeline.domain.schedules import Schedule
from reporting_pipeline.domain.subscriptions import Filters, Format, Subscription
from reporting_pipeline.domain.thumbnails import Thumbnail
from reporting_pipeline.reports.renderer import ReportRenderer
from reporting_pipeline.reports.request import ReportRequest

WEEK = Period(Cadence.WEEKLY, date(2026, 11, 16))
FILE = sha256(b"the original picture").hexdigest()


def jpeg() -> bytes:
    buffer = BytesIO()
    Image.new("RGB", (320, 200), (200, 40, 40)).save(buffer, "JPEG")
    return buffer.getvalue()


def make_dataset(
    trial: str = "T1", title: str = "A trial of something", events: int = 3, **texts: str
) -> TrialDataset:
    """`texts`: columns of any table, set to this text in every row."""
    rows: dict[str, list[dict[str, object]]] = {name: [] for name in TABLES}
    for number in range(12):
        rows["documents"].append(
            {
                "document_id": f"doc_{number}",
                "window": "current" if number < 9 else "previous",
                "site": f"70{number % 3}",
                "subject": f"01-70{number % 3}-{number}",
                "day": f"2026-11-{16 + number % 7}",
                "kind": ["lab", "adverse_event", "visit", "ecg", "note"][number % 5],
                "title": f"Document {number}",
                "received_at": WEEK.start_at + timedelta(hours=number),
                "synthetic": number == 3,
                "note": "Patch was worn all day." if number == 4 else "",
                **(
                    {"file_status": "ok", "file_sha256": FILE, "file_name": "ecg.png", "file_type": "png"}
                    if number == 3
                    else {}
                ),
                **(
                    {"file_status": "corrupt", "file_name": "broken.pdf", "file_reason": "it ends early"}
                    if number == 8
                    else {}
                ),
            }
        )
    for number in range(events):
        rows["adverse_events"].append(
            {
                "document_id": "doc_1",
                "window": "current",
                "site": "701",
                "subject": f"01-701-{number}",
                "day": "2026-11-17",
                "term": "HEADACHE",
                "preferred_term": "HEADACHE",
                "system_organ_class": "NERVOUS SYSTEM DISORDERS",
                "severity": ["MILD", "MODERATE", "SEVERE"][number % 3],
                "serious": "yes" if number == 0 else "no",
                "start": "2026-11",
            }
        )
    for number in range(20):
        result = {
            "test_code": "ALT",
            "test": "Alanine Aminotransferase",
            "value": -2.0 + number * 5,
            "unit": "U/L",
            "low": 5.0,
            "high": 40.0,
        }
        (made,) = rows_of("lab", {"results": [result]}, Reading())
        key = {"document_id": "doc_0", "window": "current", "site": "700", "subject": "01-700-0"}
        rows["labs"].append({**key, "day": "2026-11-16", **made})
    rows["visits"] = [
        {
            "document_id": "doc_2",
            "window": "current",
            "site": "702",
            "subject": "x",
            "planned": True,
            "visit_status": "done",
        }
    ]
    rows["findings"] = [
        {
            "document_id": "doc_1",
            "window": "current",
            "site": "701",
            "code": "partial_date",
            "field": "start",
            "message": "'2026-11' is no full date",
        }
    ]
    tables = {name: table_from_rows(name, rows[name]) for name in TABLES}
    for frame in tables.values():
        for column, text in texts.items():
            if column in frame:
                frame[column] = text
    return TrialDataset(
        trial=trial,
        title=title,
        period=WEEK,
        tables=tables,
        version=sha256(f"{trial}{events}{sorted(texts.items())}".encode()).hexdigest()[:16],
        data_as_of=WEEK.end_at - timedelta(hours=1),
        media={FILE: Thumbnail(FILE, f"media/{FILE}.jpg", 320, 200)},
    )


def make_request(
    *datasets: TrialDataset,
    name: str = "Dr. Ada Byron",
    subscription: str = "Monday safety desk",
    filters: Filters | None = None,
    format: Format = Format.PDF,
    report_type: str = "trial_activity",
    document: str = "rep_0123456789",
    organisation: str = "Research Network",
) -> ReportRequest:
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    return ReportRequest(
        subscription=Subscription(
            id="sub_1",
            organisation="org",
            owner="usr_1",
            name=subscription,
            report_type=report_type,
            filters=filters or Filters(),
            schedule=Schedule(),
            format=format,
            created_at=moment,
            updated_at=moment,
        ),
        owner_name=name,
        organisation_name=organisation,
        period=WEEK,
        datasets=datasets or (make_dataset(),),
        document_id=document,
        code_version="1.2.3",
    )


@pytest.fixture
def new_renderer(tmp_path: Path) -> Callable[[], ReportRenderer]:
    """Makes renderers that have rendered nothing yet, each with an empty thumbnail folder."""
    made = []

    def make() -> ReportRenderer:
        made.append(1)
        return ReportRenderer(lambda key: jpeg(), tmp_path / f"cache{len(made)}")

    return make


@pytest.fixture
def renderer(new_renderer: Callable[[], ReportRenderer]) -> ReportRenderer:
    return new_renderer()


__all__ = ["make_dataset", "make_request", "replace"]
