"""A reader's dataset holds the reader's rows, and no byte of another site or subject."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from reporting_pipeline.domain.datasets import TABLES, TrialDataset, table_from_rows
from reporting_pipeline.domain.disclosure import document_shown, for_audience, restricted
from reporting_pipeline.domain.entitlements import Audience
from reporting_pipeline.domain.periods import Cadence, Period
from reporting_pipeline.domain.thumbnails import Thumbnail
from reporting_pipeline.domain.tidying import tidy_documents

WEEK = Period.from_key(Cadence.WEEKLY, "2026-11-16")


def dataset() -> TrialDataset:
    rows: dict[str, list[dict[str, object]]] = {name: [] for name in TABLES}
    for site in ("701", "702"):
        for subject in ("1", "2"):
            who = f"{site}-{subject}"
            key = {"document_id": f"doc_{who}", "window": "current", "site": site, "subject": who}
            rows["documents"].append({**key, "day": "2026-11-17", "note": f"note {who}", "file_sha256": who})
            rows["adverse_events"].append({**key, "day": "2026-11-17", "term": f"term {who}"})
            finding = {name: key[name] for name in ("document_id", "window", "site")}
            rows["findings"].append({**finding, "code": "odd", "message": f"finding {who}"})
    return TrialDataset(
        trial="T1",
        title="Trial",
        period=Period.from_key(Cadence.WEEKLY, "2026-11-16"),
        tables={name: table_from_rows(name, found) for name, found in rows.items()},
        version="0" * 16,
        data_as_of=datetime(2026, 11, 20, tzinfo=UTC),
        media={f"{s}-{n}": Thumbnail(f"{s}-{n}", "k", 1, 1) for s in ("701", "702") for n in "12"},
    )


def text_of(data: TrialDataset) -> str:
    return "".join(table.to_csv() for table in data.tables.values()) + "".join(data.media)


def test_a_site_sees_its_own_rows() -> None:
    found = restricted(dataset(), ["701"])
    assert "701-1" in text_of(found)
    assert "702" not in text_of(found)
    assert {name: list(table.columns) for name, table in found.tables.items()} == {
        name: list(columns) for name, columns in TABLES.items()
    }


def test_a_part_of_a_trial_is_told_nothing_of_the_rest_by_what_compares_them() -> None:
    """Findings and omissions are made of all documents of a trial, and quote them."""
    records = [
        {
            "_id": f"doc_{site}_{number}",
            "trial": "T1",
            "site": site,
            "subject": "1",
            "kind": "lab",
            "received_at": WEEK.start_at,
            "file": {"name": "scan.pdf", "key": "one file"},
            "data": {"results": [{"test_code": "GLUC", "value": 5 if number else "?", "unit": unit}]},
        }
        for site, unit in (("701", "mmol/L"), ("702", "ug/hectolitre"))
        for number in range(7)
    ]
    for record in records[:6]:
        record["data"] = {"results": 5}
    whole = replace(dataset(), tables=tidy_documents(records, {}, WEEK))
    found = {"duplicate_file", "subject_at_two_sites", "mixed_units"}
    assert found <= set(whole.tables["findings"]["code"])
    assert {"labs", "labs/GLUC"} <= set(whole.tables["omissions"]["part"])
    for mine, others in (("701", ("702", "hectolitre")), ("702", ("701", "mmol"))):
        shown = restricted(whole, [mine])
        text = text_of(shown)
        assert [one for one in (*others, " of 14 ") if one in text] == []
        assert set(shown.tables["omissions"]["part"]) == set(whole.tables["omissions"]["part"])
        assert all(shown.tables["omissions"]["reason"])
        assert found & set(shown.tables["findings"]["code"])
    assert "702" in text_of(whole)


def test_a_participant_sees_their_own_record() -> None:
    found = restricted(dataset(), None, "701-1")
    assert "term 701-1" in text_of(found)
    assert "finding 701-1" in text_of(found)
    for other in ("701-2", "702-1", "702-2"):
        assert other not in text_of(found)


def test_nobody_s_rows_are_left_for_no_site() -> None:
    left = {name: len(table) for name, table in restricted(dataset(), []).tables.items()}
    assert left == dict.fromkeys(dataset().tables, 0)
    assert any(len(table) for table in dataset().tables.values())


def test_what_is_shown_tells_bodies_apart() -> None:
    whole = dataset()
    shown = [
        whole.shown,
        restricted(whole, ["701"]).shown,
        restricted(whole, ["702"]).shown,
        restricted(whole, None, "701-1").shown,
        restricted(whole, []).shown,
    ]
    assert len(set(shown)) == 5
    assert restricted(whole, ["702", "701"]).shown == restricted(whole, ["701", "702"]).shown
    assert restricted(whole, None) is whole


def test_a_number_as_it_was_collected_is_no_word_that_is_withheld() -> None:
    key = {"document_id": "d", "window": "current", "site": "701", "subject": "1", "day": "2026-11-17"}
    texts = ("7,2", "<0.5", "SEEN BY DR SMITH", "above 5")
    labs: list[dict[str, object]] = [
        {**key, "test_code": "K", "value_text": one, "original_result": one} for one in texts
    ]
    tables = {name: table_from_rows(name, labs if name == "labs" else []) for name in TABLES}
    shown = for_audience(replace(dataset(), tables=tables), Audience.SPONSOR).tables["labs"]
    assert shown["value_text"].tolist() == shown["original_result"].tolist() == ["7,2", "<0.5", "", ""]


@pytest.mark.parametrize(
    ("kind", "audience", "file", "title"),
    [
        ("imaging", Audience.SITE, True, True),
        ("exposure", Audience.SITE, False, False),
        ("exposure", Audience.SAFETY_BOARD, True, True),
        ("imaging", Audience.SPONSOR, False, False),
        ("imaging", Audience.PARTICIPANT, False, False),
    ],
)
def test_a_document_shows_its_file_and_its_words_to_those_alone_who_may_see_them(
    kind: str, audience: Audience, file: bool, title: bool
) -> None:
    record = {
        "kind": kind,
        "title": "as somebody wrote it",
        "note": "a note",
        "data": {"reading": "as the reader wrote it"},
        "file": {"key": "k"},
    }

    shown = document_shown(record, audience)

    assert (shown["file"] is not None, "file" not in shown["withheld"]) == (file, file)
    for name in ("title", "note", "data"):
        assert (shown[name] == record[name], name not in shown["withheld"]) == (title, title), name


@pytest.mark.parametrize("audience", sorted(set(Audience) - {Audience.SAFETY_BOARD}))
def test_what_is_odd_about_a_result_that_tells_the_treatment_is_told_to_nobody_who_is_blinded(
    audience: Audience,
) -> None:
    """A finding quotes its result, and by that alone says whose blood holds the drug."""

    def lab(number: int, day: str, *results: dict[str, object]) -> dict[str, object]:
        return {
            "_id": f"doc_{number}",
            "trial": "T1",
            "site": "701",
            "subject": f"{number}",
            "kind": "lab",
            "collected": day,
            "received_at": WEEK.start_at,
            "data": {"results": list(results)},
        }

    def drug(value: object, unit: str) -> dict[str, object]:
        return {"test_code": "DRUGZZ", "category": "PHARMACOKINETICS", "value": value, "unit": unit}

    records = [
        lab(1, "2026-11-16", drug(98765.5, "")),
        lab(2, "2026-11-16", drug(3, "ug/hectolitre")),
        lab(3, "2026-11-16", drug(4, "mol/gallon"), {"test_code": "ALT", "value": 4, "unit": "U/L"}),
    ]
    whole = replace(dataset(), tables=tidy_documents(records, {}, WEEK))
    assert whole.tables["labs"]["unblinding"].sum() == 3
    told = text_of(whole)
    secrets = ("DRUGZZ", "98765.5", "hectolitre", "gallon")
    assert all(one in told for one in secrets)
    assert {"mixed_units", "missing_unit"} <= set(whole.tables["findings"]["code"])
    shown = for_audience(whole, audience)
    assert [one for one in secrets if one in text_of(shown)] == []
    assert list(shown.tables["labs"]["test_code"]) == ["ALT"]
    assert text_of(for_audience(whole, Audience.SAFETY_BOARD)) == told
