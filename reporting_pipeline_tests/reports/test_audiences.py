"""What an audience must not see is in no byte of any format: planted words are searched for."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pikepdf
import pytest

from reporting_pipeline.domain.datasets import TABLES, TrialDataset, table_from_rows
from reporting_pipeline.domain.disclosure import FREE_TEXT, POLICIES, restricted
from reporting_pipeline.domain.entitlements import Audience
from reporting_pipeline.domain.subscriptions import Format
from reporting_pipeline.reports.renderer import ReportRenderer
from reporting_pipeline.reports.request import ReportRequest
from reporting_pipeline.reports.types import REPORT_TYPES
from reporting_pipeline_tests.reports.conftest import WEEK, make_dataset, make_request
from reporting_pipeline_tests.reports.hidden import every_text, left_over

ARM, WORDS = "Xanomeline Planted", "PLANTEDNAME"
#: What stands in rows of another site and subject: in each text, in each number.
OTHERS, OTHERS_NUMBER = "OFOTHERSZZ", "98765431"


def planted() -> TrialDataset:
    """A trial in which arms and a person's name stand wherever they can."""
    whole = make_dataset()
    tables = dict(whole.tables)
    key = {"window": "current", "site": "700", "subject": "01-700-0", "day": "2026-11-16"}
    rows: dict[str, list[dict[str, Any]]] = {
        "documents": [
            {
                **key,
                "document_id": "doc_arm",
                "kind": "exposure",
                "title": f"Exposure: {ARM}",
                "received_at": WEEK.start_at + timedelta(hours=30),
                "note": f"took {ARM}",
            }
        ],
        "subjects": [
            {
                **key,
                "document_id": "doc_0",
                **{c: ARM for c in ("arm", "arm_code", "actual_arm", "actual_arm_code")},
            }
        ],
        "exposures": [{**key, "document_id": "doc_arm", "treatment": ARM, "dose": 54.0}],
        "findings": [
            {**key, "document_id": "doc_arm", "code": "wrong_type", "field": "dose", "message": f"{ARM} 54"},
            {**key, "document_id": "doc_0", "code": "wrong_type", "field": "data.arm", "message": f"'{ARM}'"},
        ],
    }
    rows |= {
        name: [{**key, "document_id": "doc_1", **dict.fromkeys(columns, f"said {WORDS} here")}]
        for name, columns in FREE_TEXT.items()
        if name not in ("documents", "findings")
    }
    others = {
        "document_id": f"doc_{OTHERS}",
        "window": "current",
        "site": f"9{OTHERS}",
        "subject": f"s{OTHERS}",
    }
    told: dict[str, Any] = {
        "str": OTHERS,
        "float": float(OTHERS_NUMBER),
        "bool": True,
        "instant": WEEK.start_at,
    }
    for name, columns in TABLES.items():
        if "document_id" in columns:
            row = {column: told[kind] for column, kind in columns.items()} | others
            rows.setdefault(name, []).append(row | {"day": "2026-11-17", "kind": "note", "grade": 3.0})
    for name, more in rows.items():
        old = [
            {str(column): value for column, value in row.items()} for row in tables[name].to_dict("records")
        ]
        known = [{k: v for k, v in row.items() if k in TABLES[name]} for row in more]
        tables[name] = table_from_rows(name, [*old, *known])
    tables["documents"] = tables["documents"].assign(
        note=tables["documents"]["note"] + f" {WORDS}", title=tables["documents"]["title"] + f" {WORDS}"
    )
    return replace(whole, tables=tables)


def request_for(audience: Audience, form: Format, kind: str) -> ReportRequest:
    whole = planted()
    if audience is Audience.PARTICIPANT:
        whole = restricted(whole, None, "01-700-0")
    elif audience is Audience.SITE:
        whole = restricted(whole, ["700"])
    asked = make_request(whole, format=form, report_type=kind)
    return replace(asked, audience=audience, statuses=(whole,) if REPORT_TYPES[kind].needs_status else ())


CASES = [
    (audience, kind.name)
    for audience in Audience
    for kind in REPORT_TYPES.values()
    if audience in kind.audiences
]


@pytest.mark.parametrize(("audience", "kind"), CASES)
def test_nothing_forbidden_is_in_any_byte(
    audience: Audience, kind: str, new_renderer: Callable[[], ReportRenderer]
) -> None:
    renderer, policy = new_renderer(), POLICIES[audience]
    for form in Format:
        made = renderer.render(request_for(audience, form, kind))
        text = " ".join(every_text(made.content).split())
        assert policy.arm or ARM not in text, (form, kind)
        assert policy.free_text or WORDS not in text, (form, kind)
        sees_all = audience not in (Audience.PARTICIPANT, Audience.SITE)
        assert sees_all or [one for one in (OTHERS, OTHERS_NUMBER) if one in text] == [], (form, kind)
        assert form is not Format.PDF or left_over(made.content) == [], kind


def test_the_words_are_found_where_they_may_stand(renderer: ReportRenderer) -> None:
    """Or the search above would find nothing whatever was drawn."""
    for form in Format:
        made = renderer.render(request_for(Audience.SAFETY_BOARD, form, "trial_activity"))
        text = " ".join(every_text(made.content).split())
        for one in (ARM, WORDS, OTHERS):
            assert one in text, (form, one)
        if form not in (Format.PDF, Format.HTML):  # which list a part of the rows
            assert OTHERS_NUMBER in text, form


def test_a_body_is_never_shared_between_audiences(renderer: ReportRenderer) -> None:
    keys = {renderer.body_key(request_for(audience, Format.PDF, "trial_activity")) for audience in Audience}
    assert len(keys) == len(Audience)


def test_pictures_are_for_those_who_may_see_them(renderer: ReportRenderer) -> None:
    for audience, policy in POLICIES.items():
        made = renderer.render(request_for(audience, Format.PDF, "trial_activity"))
        with pikepdf.open(io.BytesIO(made.content)) as file:
            pictures = sum(
                one.get("/Subtype") == "/Image" for one in file.objects if isinstance(one, pikepdf.Stream)
            )
        assert (pictures > 0) == policy.images, audience
