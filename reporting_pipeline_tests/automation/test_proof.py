"""What an edition proves of its reports: signed, found by their code, and made again to the byte."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from reporting_pipeline.assets.scope import PRODUCT
from reporting_pipeline.cli import app
from reporting_pipeline.delivery.links.verification import Standing, verify_code
from reporting_pipeline.domain.proof import ProofVerdict, key_set, verdict_on
from reporting_pipeline.domain.subscriptions import Filters, Format
from reporting_pipeline.stores.document_versions import withdraw
from reporting_pipeline.stores.documents import document_id
from reporting_pipeline.stores.proof_keys import signing_keys
from reporting_pipeline.stores.reports import StoredReport, reports_of
from reporting_pipeline.usecases.branding import set_logo
from reporting_pipeline.usecases.reproduce import NotReproducible, reproduce
from reporting_pipeline_tests.automation.crank import ORGANISATION, Crank, usual_documents
from reporting_pipeline_tests.reports.reading import page_texts


@pytest.fixture
def made(empty: Crank) -> Crank:
    """An edition of five reports of an organisation with a look of its own.

    Two PDFs, a workbook, an HTML file, and one of a type that stands on the trial so far.
    """
    picture = io.BytesIO()
    Image.new("RGBA", (900, 300), (91, 42, 134, 255)).save(picture, "PNG")
    empty.database.organisations.update_one(
        {"_id": ORGANISATION},
        {"$set": {"name": "Default", "report_colour": "#5b2a86", "report_footer": "Confidential"}},
        upsert=True,
    )
    now = empty.clock.at
    set_logo(
        empty.database, empty.objects, ORGANISATION, picture.getvalue(), "usr_admin", now, home=ORGANISATION
    )
    empty.add_trial("T-ALPHA")
    empty.arrive(*usual_documents("T-ALPHA", empty.period()))
    alpha = Filters(trials=("T-ALPHA",))
    empty.subscribe("one", alpha)
    empty.subscribe("two", alpha, parameters={"attach": True})
    empty.subscribe("sheet", alpha, format=Format.XLSX)
    empty.subscribe("screen", alpha, format=Format.HTML)
    empty.subscribe("conduct", alpha, report_type="trial_conduct")
    empty.complete()
    return empty


def reports(crank: Crank) -> dict[str, StoredReport]:
    found = list(reports_of(crank.database, crank.period().cadence, crank.period().key))
    return {one.subscription: one for one in found}


def test_every_report_is_signed_has_a_code_and_is_made_again_to_the_byte(made: Crank, tmp_path: Path) -> None:
    keys = signing_keys(made.settings)
    found = reports(made)
    assert len(found) == 5
    for subscription, report in found.items():
        assert report.envelope is not None
        verdict = verdict_on(report.sha256, report.size, report.envelope, keys.public)
        assert verdict is ProofVerdict.GENUINE, subscription
        manifest = report.envelope.manifest
        assert [one["trial"] for one in manifest["inputs"]] == ["T-ALPHA"]
        assert manifest["inputs"][0]["dataset"] == report.dataset_versions["T-ALPHA"]
        assert ("status" in manifest["inputs"][0]) is (subscription == "sub_conduct")
        again = reproduce(made.database, made.objects, report.id, PRODUCT, tmp_path / "cache")
        assert again.equal, (subscription, again)
    assert len({one.code for one in found.values()}) == 5
    # What the organisation looks like now is not asked: the record says what each was made with.
    assert all("report_colour" in one.worded["branding"] for one in found.values())
    assert b"--own: #5b2a86" in made.report_bytes("sub_screen")
    printed = "".join(page_texts(made.report_bytes("sub_one"))[:1])
    assert f"/v/{found['sub_one'].code}" in printed.replace("\n", "")
    _the_command_tells_genuine_altered_and_unknown(made, tmp_path)
    _what_changed_is_said(made, found["sub_one"], tmp_path)
    _a_newer_rendering_supersedes_the_code(made, found["sub_one"])


def _the_command_tells_genuine_altered_and_unknown(made: Crank, tmp_path: Path) -> None:
    report = reports(made)["sub_one"]
    assert report.envelope is not None
    file, keys, others = (tmp_path / name for name in ("report.pdf", "keys.json", "others.json"))
    file.write_bytes(made.report_bytes("sub_one"))
    (tmp_path / "report.pdf.manifest.json").write_bytes(report.envelope.written())
    keys.write_text(json.dumps(key_set(signing_keys(made.settings).public)))
    others.write_text('{"keys":[{"kty":"OKP","crv":"Ed25519","x":"' + "A" * 42 + 'E"}]}')

    def verify(*words: str) -> tuple[int, str]:
        result = CliRunner().invoke(app, ["verify", *words])
        return result.exit_code, result.output

    code, told = verify(str(file), "--keys", str(keys))
    assert (code, "genuine" in told, report.id in told) == (0, True, True), told
    assert verify(str(file), "--keys", str(others))[0] == 3
    file.write_bytes(file.read_bytes() + b" ")
    code, told = verify(str(file), "--keys", str(keys))
    assert (code, "altered" in told) == (2, True), told
    assert verify(str(keys), "--keys", str(keys))[0] == 4, "no manifest lies beside it"


def _what_changed_is_said(made: Crank, report: StoredReport, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    newer = reproduce(made.database, made.objects, report.id, "9.9/9", cache)
    assert newer.equal, "the version is told only where the bytes differ"
    made.database.reports.update_one({"_id": report.id}, {"$set": {"worded.owner_name": "Somebody Else"}})
    other = reproduce(made.database, made.objects, report.id, PRODUCT, cache)
    assert not other.equal
    assert "the record or a snapshot was changed" in other.differences[0]
    made.database.reports.update_one({"_id": report.id}, {"$set": {"worded": dict(report.worded)}})
    with pytest.raises(NotReproducible, match="no report has the id"):
        reproduce(made.database, made.objects, "rep_none", PRODUCT, cache)


def _a_newer_rendering_supersedes_the_code(made: Crank, before: StoredReport) -> None:
    found = verify_code(made.database, before.code, before.sha256)
    assert found is not None
    assert (found.standing, found.same) == (Standing.GENUINE, True)
    made.clock.forward(hours=2)
    standing = made.database.documents.find_one({"_id": document_id("T-ALPHA", "ae")})
    assert standing is not None
    withdraw(made.database, standing, "usr_one", "entered twice", made.clock.at)
    for asset in ("documents", "trial_dataset", "trial_media"):
        assert made.by_hand(asset, "T-ALPHA", force=True).success
    assert made.by_hand("subscriber_reports", "sub_one").success
    now = reports(made)["sub_one"]
    assert now.code != before.code
    old = verify_code(made.database, before.code, before.sha256)
    new = verify_code(made.database, now.code, before.sha256)
    assert old is not None
    assert new is not None
    assert (old.standing, old.same, old.since) == (Standing.SUPERSEDED, True, now.rendered_at)
    assert (new.standing, new.same) == (Standing.GENUINE, False)
    assert verify_code(made.database, "a" * 16) is None
