"""A client in Python, generated from the OpenAPI document without hand work, against the running service.

The generator stands in an environment of its own: it wants other versions of what the product stands on. The
one setting it needs names the two content types that are neither JSON nor text (docs/api.md).
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from reporting_pipeline.api.app import openapi_document
from reporting_pipeline_tests.api.conftest import Api
from reporting_pipeline_tests.installation import ROOT, UV
from reporting_pipeline_tests.waiting import PATIENCE

GENERATOR = "openapi-python-client==0.29.1"

#: What somebody writes who has the generated package: bodies and answers are objects with types.
SCRIPT = """
import sys

from client import AuthenticatedClient
from client.api.documents import list_documents
from client.api.editions import list_registered_users, register_user, remove_registered_user
from client.api.scheduled_reports import (
    cancel_job,
    create_scheduled_report,
    delete_scheduled_report,
    get_scheduled_report,
    list_executions,
    list_scheduled_reports,
    pause_scheduled_report,
    preview_schedule,
    replay_execution,
    resume_scheduled_report,
    run_scheduled_report,
)
from client.api.subscriptions import (
    create_subscription,
    get_job,
    get_subscription,
    list_subscription_jobs,
    list_subscriptions,
)
from client.models import PreviewRequest, Problem, RegistrationRequest, ScheduledReportRequest
from client.models import SubscriptionAnswer, SubscriptionRequest

service = AuthenticatedClient(base_url=sys.argv[1], token=sys.argv[2], raise_on_unexpected_status=True)
person, address = sys.argv[3:]
body = SubscriptionRequest.from_dict({"userId": person, "reportType": "weekly"})
made = create_subscription.sync(client=service, body=body)
assert isinstance(made, SubscriptionAnswer), made
read = get_subscription.sync(made.subscription_id, client=service)
assert (read.subscription_id, read.next_run) == (made.subscription_id, made.next_run), read
jobs = list_subscription_jobs.sync(made.subscription_id, client=service)
assert [job.subscription_id for job in jobs.items] == [made.subscription_id], jobs
refused = create_subscription.sync(client=service, body=body)
assert isinstance(refused, Problem), refused
assert refused.status == 409, refused
assert list_documents.sync(client=service).items == []

schedule = {"cadence": "weekly", "day_of_week": 2, "time": "09:00", "timezone": "America/New_York"}
shown = preview_schedule.sync(client=service, body=PreviewRequest.from_dict({"schedule_config": schedule}))
wish = ScheduledReportRequest.from_dict(
    {"name": "Of a client", "schedule_config": schedule, "recipients": [{"type": "user", "value": person}]}
)
report = create_scheduled_report.sync(client=service, body=wish, idempotency_key="once")
again = create_scheduled_report.sync(client=service, body=wish, idempotency_key="once")
assert again.id == report.id, again
assert shown.occurrences[0].utc == report.next_run, (shown, report)
assert pause_scheduled_report.sync(report.id, client=service, if_match='"9"').status == 412
assert pause_scheduled_report.sync(report.id, client=service).next_run is None
assert resume_scheduled_report.sync(report.id, client=service).next_run == report.next_run
run = run_scheduled_report.sync(report.id, client=service)
assert run.status == "pending", run
assert get_job.sync(run.id, client=service).subscription_id == report.id
stopped = cancel_job.sync(run.id, client=service)
assert (stopped.id, stopped.error) == (run.id, "it was cancelled"), stopped
replayed = replay_execution.sync(run.id, client=service)
assert replayed.period == run.period, replayed
listed = list_executions.sync(report.id, client=service, limit=50)
assert {run.id, replayed.id} <= {one.id for one in listed.items}, listed
assert report.id in {one.id for one in list_scheduled_reports.sync(client=service).items}
first = list_subscriptions.sync(client=service, limit=1)
second = list_subscriptions.sync(client=service, limit=1, cursor=first.next_cursor)
assert {first.items[0].subscription_id, second.items[0].subscription_id} == {report.id, made.subscription_id}
assert delete_scheduled_report.sync_detailed(report.id, client=service).status_code == 204
assert get_scheduled_report.sync(report.id, client=service).status == 404

registered = register_user.sync(client=service, body=RegistrationRequest.from_dict({"email": address}))
assert registered.status == "active", registered
assert [one.email for one in list_registered_users.sync(client=service).items] == [address]
assert remove_registered_user.sync_detailed(address, client=service).status_code == 204
print("served")
"""


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("generator") / "env"
    _run(str(UV), "venv", "--quiet", "--python", sys.executable, str(folder))
    python = str(folder / "bin" / "python")
    _run(str(UV), "pip", "install", "--quiet", "--python", python, GENERATOR)
    return folder / "bin"


def _run(*command: str, cwd: Path | None = None, **variables: str) -> str:
    done = subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def _setting() -> str:
    """As docs/api.md has it."""
    found = re.search(
        r"```yaml\n(content_type_overrides:\n.*?)```", (ROOT / "docs" / "api.md").read_text(), re.S
    )
    assert found is not None
    return found[1]


@pytest.mark.slow
def test_a_client_is_generated_and_works(environment: Path, api: Api, tmp_path: Path) -> None:
    (tmp_path / "openapi.json").write_text(json.dumps(openapi_document()))
    (tmp_path / "client.yaml").write_text(_setting())
    said = _run(
        *(str(environment / "openapi-python-client"), "generate", "--path", "openapi.json"),
        *("--output-path", "client", "--meta", "none", "--config", "client.yaml"),
        cwd=tmp_path,
        PATH=os.pathsep.join([str(environment), os.environ["PATH"]]),
    )
    assert "WARNING" not in said, said  # nothing was left out
    (tmp_path / "use.py").write_text(SCRIPT)
    person = "usr_default_subscriber"
    token = api.as_(person).token or ""
    address = "subscriber@default.example"
    used = _run(str(environment / "python"), "use.py", api.base, token, person, address, cwd=tmp_path)
    assert used.strip() == "served"
