"""A report before there is a subscription, mailed to who asks and to nobody else."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256

import pytest

from reporting_pipeline.domain.access import User
from reporting_pipeline.domain.omissions import Omission
from reporting_pipeline.domain.periods import Cadence, Period
from reporting_pipeline.domain.subscriptions import Format
from reporting_pipeline.reports.request import RenderedReport
from reporting_pipeline.settings import Settings
from reporting_pipeline.stores import suppressions
from reporting_pipeline.stores.deliveries import halt_channel
from reporting_pipeline.stores.mongo import Database
from reporting_pipeline.stores.organisations import add
from reporting_pipeline.usecases.preview import PreviewedReport
from reporting_pipeline.usecases.send_preview import CannotSend, send_to_oneself
from reporting_pipeline_tests.delivery.seeds import NOW
from reporting_pipeline_tests.delivery.test_outbox import mails, part

ADA = User("usr_ada", "default", email="ada@default.example", name="Ada")
BODY = b"%PDF-1.7 preview"
SHOWN = PreviewedReport(
    RenderedReport(
        body=BODY,
        size=len(BODY),
        sha256=sha256(BODY).hexdigest(),
        pages=1,
        format=Format.PDF,
        content_type="application/pdf",
        file_name="preview.pdf",
        data_as_of=NOW,
        body_id="b" * 16,
    ),
    Period.from_key(Cadence.WEEKLY, "2026-11-16"),
    (Omission("T2", "trial", "its data is not prepared yet"),),
)


def test_it_goes_to_who_asks_with_the_file_and_is_in_the_audit_log(
    database: Database, settings: Settings
) -> None:
    add(database, "default", {"name": "Default"})
    assert send_to_oneself(database, settings, SHOWN, "Bcc: x\r\n<b>", ADA, NOW) == ADA.email
    [sent] = mails(settings)
    assert sent["To"] == ADA.email
    assert sent["Subject"] == "To you alone: Bcc: x <b>, week of 16 November 2026"
    assert sent["Bcc"] is None
    [file] = list(sent.iter_attachments())
    assert (file.get_filename(), file.get_payload(decode=True)) == ("preview.pdf", BODY)
    assert "Not in it: T2: its data is not prepared yet" in part(sent, "plain")
    row = database["audit"].find_one({"action": "preview.sent"}) or {}
    assert (row["actor"], row["details"]["sha256"]) == ("usr_ada", SHOWN.report.sha256)
    assert database["reports"].count_documents({}) == database["deliveries"].count_documents({}) == 0


def test_the_rules_of_every_mail_hold(database: Database, settings: Settings) -> None:
    def refused(shown: PreviewedReport = SHOWN, reader: User = ADA) -> str:
        with pytest.raises(CannotSend) as told:
            send_to_oneself(database, settings, shown, "Report", reader, NOW)
        return str(told.value)

    large = replace(SHOWN, report=replace(SHOWN.report, size=10_000_000))
    assert "too large" in refused(large)
    assert "held back" in refused(reader=replace(ADA, email="nowhere"))
    suppressions.suppress_address(database, "default", ADA.email, "bounced", NOW)
    assert "held back" in refused()
    halt_channel(database, "email", "535", NOW)
    assert "No mail goes" in refused()
    add(database, "default", {"name": "Default", "attachments": "never"})
    assert "sends no files" in refused()
    assert mails(settings) == []
    assert database["audit"].count_documents({"action": "preview.sent"}) == 0
