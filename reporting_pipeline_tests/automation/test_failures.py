"""What fails fails alone, says why, and is caught up by the next ticks once it is mended."""

from __future__ import annotations

from datetime import timedelta

import pytest
from dagster import RunRequest

from reporting_pipeline.stores.audit import ANCHORS
from reporting_pipeline.stores.documents import Arrival, DocumentInvalid, document_id
from reporting_pipeline.stores.results import FAILED, AssetResult, save_results
from reporting_pipeline_tests.automation.crank import (
    ORGANISATION,
    Crank,
    document,
    lab_result,
    usual_documents,
)
from reporting_pipeline_tests.media.made_files import encoded, pdf, scene
from reporting_pipeline_tests.reports.reading import page_texts

NEED_BETA = ["all@example.org", "beta@example.org"]
OTHERS = sorted(f"{name}@example.org" for name in ("alpha", "alpha2", "events", "gamma"))
TWO_UNITS = "the test has more than one standard unit ('U/L' and 'ukat/L')"


def mixed_units(crank: Crank, unit: str = "ukat/L") -> None:
    """T-BETA gets a second unit for a test; sent again with "U/L" it is mended."""
    at = crank.period().start_at + timedelta(days=1)
    crank.arrive(document("T-BETA", "odd", "lab", at, {"results": [lab_result("ALT", 0.5, unit)]}))


def test_a_test_with_two_units_takes_no_report_away_and_is_named_in_it(crank: Crank) -> None:
    mixed_units(crank)
    crank.complete()
    assert crank.mailed() == sorted(OTHERS + NEED_BETA)
    assert crank.edition_state() == "completed"
    checked = crank.check("trial_dataset", "fit_for_reports")
    assert checked is not None
    assert not checked.passed
    assert TWO_UNITS in str(checked.metadata["T-BETA, labs/ALT (chemistry)"].value)
    printed = " ".join(" ".join(page_texts(crank.report_bytes("sub_beta"))).split())
    assert "This report is not complete" in printed, printed[:1500]
    assert "labs/ALT" in printed


def unreadable(crank: Crank, trial: str) -> None:
    """The trial's snapshot is no snapshot any more, so its dataset cannot be made until it is taken anew."""
    crank.objects.put(crank.results("documents")[trial].detail["key"], b"this is no snapshot")


def until_it_is_given_up(crank: Crank) -> None:
    for _ in range(crank.settings.max_attempts + 1):
        crank.clock.forward(hours=1)
        crank.settle()


def test_a_trial_that_cannot_be_used_is_left_out_and_the_whole_report_follows_when_it_is_mended(
    crank: Crank,
) -> None:
    crank.open()
    unreadable(crank, "T-BETA")
    crank.settle()
    assert crank.mailed() == OTHERS, "what may pass is waited for"
    until_it_is_given_up(crank)
    assert crank.results("trial_dataset")["T-BETA"].attempts == crank.settings.max_attempts
    assert crank.mailed() == sorted([*OTHERS, "all@example.org"])
    jobs = crank.jobs()
    assert (jobs["sub_all"]["state"], jobs["sub_beta"]["state"]) == ("completed", "failed")
    assert [(one["trial"], one["part"]) for one in jobs["sub_all"]["omissions"]] == [("T-BETA", "trial")]
    assert "T-BETA" in " ".join(page_texts(crank.report_bytes("sub_all")))
    assert crank.edition_state() == "open"
    assert crank.materializations("edition") == [], "a report of it does not stand"

    crank.arrive(usual_documents("T-BETA", crank.period())[1] | {"_id": document_id("T-BETA", "mended")})
    crank.clock.forward(hours=1)
    crank.settle()
    assert crank.mailed() == sorted([*OTHERS, "all@example.org", "all@example.org", "beta@example.org"])
    assert len(crank.materializations("edition")) == 1
    whole = [job for job in crank.jobs_by_id().values() if job.get("follows")]
    assert [(job["subscription"], job["state"], job["omissions"]) for job in whole] == [
        ("sub_all", "completed", [])
    ]
    crank.settle()
    assert len(crank.mailed()) == len(OTHERS) + 3, "and once"
    assert crank.edition_state() == "completed"


def test_an_organisation_may_hold_what_is_not_whole(crank: Crank) -> None:
    crank.database.organisations.update_one(
        {"_id": ORGANISATION}, {"$set": {"on_omission": "hold"}}, upsert=True
    )
    crank.open()
    unreadable(crank, "T-BETA")
    until_it_is_given_up(crank)
    assert crank.mailed() == OTHERS
    assert crank.jobs()["sub_all"]["state"] == "failed"


def test_a_job_planned_after_its_report_failed_is_not_left_pending(crank: Crank) -> None:
    """As when a run is killed between the record of the failure and the note on the job."""
    failure = AssetResult(
        asset="weekly/subscriber_reports",
        period=crank.period().key,
        item="sub_alpha",
        state=FAILED,
        input_version="",
        at=crank.clock.at,
        reason="its record was not valid",
        permanent=True,
        attempts=1,
    )
    save_results(crank.database, [failure])
    crank.complete()
    assert crank.mailed() == sorted(OTHERS + NEED_BETA)
    assert crank.edition_state() == "completed"


def test_a_document_of_an_unknown_trial_is_refused_and_one_written_past_the_door_hurts_nobody(
    crank: Crank,
) -> None:
    at = crank.period().start_at + timedelta(days=1)
    stray = document("T-NOWHERE", "stray", "note", at, note="Where am I?")
    with pytest.raises(DocumentInvalid, match="'T-NOWHERE' is no trial of 'default'"):
        crank.arrive(stray)
    crank.database.documents.insert_one({**stray, "updated_at": at, "synthetic": False})
    crank.complete()
    assert crank.edition_state() == "completed"
    assert crank.mailed() == sorted(OTHERS + NEED_BETA)
    check = crank.check("documents", "trials_known")
    assert check is not None
    assert (check.passed, check.description) == (False, "no record of trial T-NOWHERE")


def test_a_trial_whose_record_is_gone_fails_alone_and_says_what_to_do(crank: Crank) -> None:
    def lose_beta(request: RunRequest) -> None:
        if request.job_name == "weekly_documents_job":
            crank.database.trials.delete_one({"_id": "T-BETA"})

    crank.before_run = lose_beta
    crank.open()
    result = crank.results("documents")["T-BETA"]
    assert result.state == "failed"
    assert "trial T-BETA has no record in the collection trials; register the trial" in result.reason
    crank.settle()
    assert crank.mailed() == sorted([*OTHERS, "all@example.org"])
    job = crank.jobs()["sub_beta"]
    assert (job["state"], job["error"]) == (
        "skipped",
        "trial T-BETA was withdrawn from the owner of the subscription",
    )


def test_an_audit_anchor_that_cannot_be_read_holds_no_edition_up(crank: Crank) -> None:
    crank.objects.put(f"{ANCHORS}00000001.json", b"not an anchor", "application/json")
    crank.complete()
    assert crank.edition_state() == "completed"
    assert len(crank.mailed()) == len(OTHERS + NEED_BETA)


def test_bad_files_are_named_in_the_report_and_in_the_check_and_stop_nothing(crank: Crank) -> None:
    at = crank.period().start_at + timedelta(days=1)
    jpeg = encoded(scene(), "JPEG")
    files = {
        "truncated.jpg": ("imaging", jpeg[: len(jpeg) // 2]),
        "page.pdf": ("lab_sheet", b"<!doctype html><html><body>Sign in to continue</body></html>"),
        "empty.png": ("ecg", b""),
        "gone.pdf": ("lab_sheet", pdf()),
        "good.jpg": ("imaging", jpeg),
        "twin.jpg": ("imaging", jpeg),  # the same bytes: two records that name one file
    }
    crank.arrive(
        *(
            Arrival(document("T-ALPHA", name, kind, at, file_name=name), content)
            for name, (kind, content) in files.items()
        )
    )
    gone = crank.database.documents.find_one({"_id": document_id("T-ALPHA", "gone.pdf")})
    assert gone is not None
    crank.objects.delete(gone["file"]["key"])
    crank.complete()
    assert crank.edition_state() == "completed"
    assert "alpha@example.org" in crank.mailed()

    detail = crank.results("documents")["T-ALPHA"].detail
    assert detail["files"] == {"ok": 2, "missing": 1, "corrupt": 3}
    check = crank.check("documents", "files_verified")
    assert check is not None
    assert not check.passed
    named = str(check.metadata["bad files"].value)
    text = " ".join("".join(page_texts(crank.report_bytes("sub_alpha"))).split())
    for name in ("truncated.jpg", "page.pdf", "empty.png", "gone.pdf"):
        assert document_id("T-ALPHA", name) in named, name
        assert name in text, name
    assert "good.jpg" not in named
    assert "is also the file of" in text, "two records with one file"


def test_the_check_of_files_passes_when_every_file_is_sound(crank: Crank) -> None:
    at = crank.period().start_at + timedelta(days=1)
    crank.arrive(
        Arrival(document("T-ALPHA", "scan", "imaging", at, file_name="scan.png"), encoded(scene(), "PNG"))
    )
    crank.open()
    check = crank.check("documents", "files_verified")
    assert check is not None
    assert check.passed
