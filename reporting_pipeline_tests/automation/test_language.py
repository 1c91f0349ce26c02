"""The language of a person is that of their reports, unless their subscription names another."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from reporting_pipeline.assets.scope import PRODUCT
from reporting_pipeline.delivery.sender.report_message import compose
from reporting_pipeline.domain.subscriptions import Filters, Format
from reporting_pipeline.reports.types import LANGUAGES, spoken_to
from reporting_pipeline.stores.mongo import delivery_records
from reporting_pipeline.stores.reports import reports_of
from reporting_pipeline.usecases.reproduce import reproduce
from reporting_pipeline_tests.automation.crank import Crank, usual_documents


def test_what_a_subscription_names_goes_before_the_person() -> None:
    kind = "my_participation"
    assert spoken_to(kind, {"attach": True}, "de") == {"attach": True, "language": "de"}
    assert spoken_to(kind, {"language": "fr"}, "de") == {"language": "fr"}
    assert spoken_to(kind, {}, "") == {}
    assert spoken_to(kind, {}, "tlh") == {}, "a language that is gone is none"
    assert spoken_to("trial_activity", {}, "de") == {}, "it is in one language"
    assert spoken_to("no_such_type", {}, "de") == {}
    assert LANGUAGES["de"] == "Deutsch"


def test_a_report_its_mail_and_its_proof_are_in_the_language_of_the_person(
    empty: Crank, tmp_path: Path
) -> None:
    empty.add_trial("T-ALPHA")
    empty.arrive(*usual_documents("T-ALPHA", empty.period()))
    own: dict[str, Any] = {"report_type": "my_participation", "format": Format.HTML}
    empty.subscribe("own", Filters(trials=("T-ALPHA",)), **own)
    empty.subscribe("named", Filters(trials=("T-ALPHA",)), parameters={"language": "fr"}, **own)
    subject = usual_documents("T-ALPHA", empty.period())[0]["subject"]
    empty.database.users.update_many(
        {}, {"$set": {"language": "de", "audience": "participant", "subject": subject}}
    )
    empty.complete()
    period = empty.period()
    made = {one.subscription: one for one in reports_of(empty.database, period.cadence, period.key)}
    assert set(made) == {"sub_own", "sub_named"}
    for subscription, language, words in (
        ("sub_own", "de", "Ihre Termine"),
        ("sub_named", "fr", "Vos visites"),
    ):
        text = empty.report_bytes(subscription).decode()
        assert f'<html lang="{language}">' in text, words
        assert reproduce(empty.database, empty.objects, made[subscription].id, PRODUCT, tmp_path).equal
        record = empty.database.reports.find_one({"_id": made[subscription].id}) or {}
        standing = empty.database.subscriptions.find_one({"_id": subscription}) or {}
        (delivery,) = delivery_records(empty.database).find({"subscription": subscription})
        message = compose(delivery, record, standing, empty.settings, empty.clock.at, empty.objects.get)
        assert f'lang="{language}"' in message.shared_html
