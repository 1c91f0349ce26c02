"""A field has one name: at the field, in the list of what is wrong, and where two versions are compared."""

from __future__ import annotations

import re
from collections.abc import Callable
from html import unescape

import pytest

from reporting_pipeline.console.forms import Entries
from reporting_pipeline.console.pages.documents import DocumentForm
from reporting_pipeline.console.pages.person import PersonForm
from reporting_pipeline.console.pages.registry import OrganisationForm, TrialForm
from reporting_pipeline.console.subscription_form import Wish
from reporting_pipeline.stores.mongo import Database
from reporting_pipeline_tests.console.conftest import Browser

#: Of a pair of fields that make an expression, the names stand in the form alone.
BUILDER = {"built_time", "built_dates"}


def fields_in(page: str) -> dict[str, str]:
    """{field: what the form calls it}, of labels and of fieldsets with an id."""
    labels = re.findall(r'<label for="([a-z_]+)">([^<]+)</label>', page)
    legends = re.findall(r'<fieldset[^>]* id="([a-z_]+)"[^>]*><legend>([^<]+)</legend>', page)
    return {name: unescape(words).strip() for name, words in [*labels, *legends]}


@pytest.mark.parametrize(
    ("path", "form"),
    [
        ("/console/subscribe", Wish),
        ("/console/people/new", PersonForm),
        ("/console/documents/new", DocumentForm),
        ("/console/trials/new", TrialForm),
        ("/console/organisations/new", OrganisationForm),
    ],
)
def test_what_is_wrong_is_told_by_the_name_that_stands_at_the_field(
    person: Callable[[str], Browser], path: str, form: type[Entries]
) -> None:
    called = fields_in(person("admin").get(path).text)
    told = form({})
    assert len(called) >= 6
    presets = {"presets"}
    assert {name: told.label(name) for name in called.keys() - BUILDER - presets} == {
        name: words for name, words in called.items() if name not in BUILDER | presets
    }


def test_an_error_does_not_say_the_name_of_its_field_twice(
    person: Callable[[str], Browser], database: Database
) -> None:
    fields = {"name": "x", "report_type": "trial_activity", "cadence": "cron", "window": "week"}
    fields |= {
        "cron_expression": "99 * * * *",
        "timezone": "Nowhere/Land",
        "format": "pdf",
        "business_days": "none",
    }
    page = unescape(person("subscriber").post("/console/subscribe", fields).text)
    assert "Cron expression: '99 * * * *' is not valid" in page
    assert "Timezone: 'Nowhere/Land' is no IANA timezone" in page
    assert "cron_expression '" not in page
    assert database.subscriptions.count_documents({}) == 0


def test_the_page_that_asks_for_a_new_owner_begins_without_an_error(
    person: Callable[[str], Browser], database: Database
) -> None:
    manager = person("manager")
    fields = {"name": "Mine", "report_type": "trial_activity", "cadence": "weekly", "day_of_week": "1"}
    fields |= {"time": "07:00", "timezone": "UTC", "format": "pdf", "business_days": "none"}
    assert manager.post("/console/subscribe", fields).status_code == 303
    (stored,) = database.subscriptions.find({})
    asked = manager.post("/console/schedules", {"chosen": stored["_id"], "action": "transfer"})
    assert asked.status_code == 200
    assert "Not passed on" not in asked.text
    refused = manager.post(
        "/console/schedules", {"chosen": stored["_id"], "action": "transfer", "new_owner": ""}
    )
    assert refused.status_code == 422
    assert "Not passed on" in refused.text
