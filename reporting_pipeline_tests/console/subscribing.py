"""A subscription by the console's form, as a person fills it in."""

from __future__ import annotations

from reporting_pipeline_tests.console.conftest import Browser

WEEKLY = {
    "name": "My trial",
    "report_type": "trial_activity",
    "trials": "T1",
    "cadence": "weekly",
    "day_of_week": "1",
    "time": "07:00",
    "timezone": "Europe/Zurich",
    "business_days": "none",
    "format": "pdf",
    "save": "1",
}


def subscribe(browser: Browser, **changed: str) -> str:
    answer = browser.post("/console/subscribe", {**WEEKLY, **changed})
    assert answer.status_code == 303, answer.text
    return answer.headers["location"].partition("?")[0]
