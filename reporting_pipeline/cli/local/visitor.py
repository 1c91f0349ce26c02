"""What people do over HTTP in the demo: one subscribes, one opens the link in a mail."""

from __future__ import annotations

import email
import email.policy
import re
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import requests

from reporting_pipeline.cli.local.home import Deployment
from reporting_pipeline.cli.local.processes import Child
from reporting_pipeline.settings import SettingsError
from reporting_pipeline.stores.subscriptions import list_subscriptions
from reporting_pipeline.usecases.callers.tokens import local_user, mint_token

TIMEOUT_SECONDS = 30
START_SECONDS = 90
#: One look at whether the API answers.
ANSWER_SECONDS = 2.0
#: Sent as soon as the week has closed, so that the demo need not wait for a Monday morning.
AT_WEEKS_END = {"cadence": "weekly", "dayOfWeek": 1, "time": "00:00", "timezone": "UTC"}


@dataclass(frozen=True)
class Opened:
    """What a recipient saw."""

    report_bytes: int
    content_type: str
    unsubscribe_page: bool


def wait_for(api: Child, base: str) -> None:
    """Return when the API answers. Raises SettingsError when it does not start."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        api.check()
        try:
            if requests.get(f"{base}/readyz", timeout=ANSWER_SECONDS).ok:
                return
        except (requests.ConnectionError, requests.Timeout):  # not there yet, or busy with its start
            pass
        time.sleep(0.3)
    raise SettingsError(f"the API did not answer at {base} within {START_SECONDS} seconds; see {api.log}")


def subscribe(deployment: Deployment, base: str) -> str:
    """Take a weekly report by POST, as a person of this machine; returns the subscription's id.

    The same Idempotency-Key each time: asking again gives the same subscription.
    """
    now = datetime.now(UTC)
    user = local_user(deployment.database, deployment.settings, "subscriber", now)
    organisation = deployment.settings.organisation
    for standing in list_subscriptions(
        deployment.database, organisation, owner=user, status="active", limit=1
    ):
        return standing.id
    token = mint_token(deployment.settings, user, now, timedelta(minutes=10))
    answer = requests.post(
        f"{base}/api/subscriptions",
        json={"userId": user, "reportType": "weekly", "schedule": AT_WEEKS_END},
        headers={"Authorization": f"Bearer {token}", "Idempotency-Key": "demo-first-subscription"},
        timeout=TIMEOUT_SECONDS,
    )
    if not answer.ok:
        raise SettingsError(f"the API refused the demo's subscription: {answer.status_code} {answer.text}")
    return str(answer.json()["subscriptionId"])


def open_mail(path: Path, base: str) -> Opened:
    """Open the link in a mail, and look at its unsubscribe page, which changes nothing.

    At `base`, where the API answers now: the mail of an earlier run may name a port that another has since.
    """
    mail = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
    body = mail.get_body(("plain",))
    text = body.get_content() if body is not None else ""
    link = re.search(r"https?://[^\s/]+(/r/\S+)", text)
    unsubscribe = re.search(r"<https?://[^\s/>]+(/[^>]+)>", mail["List-Unsubscribe"] or "")
    if link is None or unsubscribe is None:
        raise SettingsError(f"{path} has no link or no unsubscribe address")
    report = requests.get(base + link.group(1), timeout=TIMEOUT_SECONDS)
    report.raise_for_status()
    page = requests.get(base + unsubscribe.group(1), timeout=TIMEOUT_SECONDS)
    return Opened(len(report.content), report.headers.get("Content-Type", ""), page.ok)
