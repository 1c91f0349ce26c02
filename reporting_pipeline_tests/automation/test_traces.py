"""One trace leads from the request to the mail, over processes that share nothing but the stores."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
import requests

from reporting_pipeline import tracing
from reporting_pipeline.api.app import create_app
from reporting_pipeline.operations import logs
from reporting_pipeline.settings import Settings
from reporting_pipeline.sidecar import sidecar_of
from reporting_pipeline.usecases.callers.tokens import mint_token
from reporting_pipeline_tests.api.conftest import Server
from reporting_pipeline_tests.automation.crank import Crank
from reporting_pipeline_tests.otlp_receiver import Collector, collecting
from reporting_pipeline_tests.waiting import PATIENCE

CALLER = "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as one:
        yield one


@pytest.fixture
def traced(crank: Crank, collector: Collector) -> Iterator[Callable[[float], Settings]]:
    """Called with a share it is a process that begins: what was traced before it is exported."""

    def begin(share: float) -> Settings:
        tracing.shut_down()
        change = {"otlp_endpoint": collector.endpoint, "trace_share": share}
        settings = crank.settings.model_copy(update=change)
        tracing.set_up(settings)
        return settings

    yield begin
    tracing.shut_down()


def post_run_now(crank: Crank, **headers: str) -> str:
    """Ask for a report by the API, as its owner; the id of the job."""
    app = create_app(crank.settings, crank.database, crank.objects, clock=lambda: crank.clock.at)
    token = mint_token(crank.settings, "usr_alpha", datetime.now(UTC))
    with Server(sidecar_of(app)) as server:
        answer = requests.post(
            f"{server.base}/api/scheduled-reports/sub_alpha/run",
            headers={"Authorization": f"Bearer {token}", **headers},
            json={},
            timeout=PATIENCE,
        )
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def test_from_the_request_to_the_mail_all_is_one_trace_and_names_nobody(
    crank: Crank, collector: Collector, traced: Callable[[float], Settings]
) -> None:
    crank.clock.follow_the_machine()
    root, stream = logging.getLogger(), io.StringIO()
    handlers, level = root.handlers, root.level
    logs.write_json(stream)
    try:
        traced(1.0)
        job_id = post_run_now(crank, traceparent=f"00-{CALLER}-00f067aa0ba902b7-01")
        traced(1.0)
        crank.settle()
        traced(1.0)
    finally:
        root.handlers, root.level = handlers, level

    job = crank.database.jobs.find_one({"_id": job_id})
    delivery = crank.database.deliveries.find_one({"job": job_id})
    assert job is not None
    assert delivery is not None
    assert job["state"] == "completed"
    assert tracing.trace_id(job["trace"]) == tracing.trace_id(delivery["trace"]) == CALLER
    tags = [run.tags.get(tracing.RUN_TAG) for run in crank.instance.get_runs()]
    assert job["trace"] in tags

    spans = collector.of(CALLER)
    names = {span.name for span in spans}
    assert {"POST /api/scheduled-reports/{report_id}/run", "render run", "render report"} <= names
    assert {"fetch run", "aggregate run", "notify run", "send email"} <= names
    known = {span.id for span in spans} | {"00f067aa0ba902b7"}
    assert all(span.parent in known for span in spans), "no span of the trace hangs in the air"
    (sent,) = (span for span in spans if span.name == "send email")
    assert (sent.attributes["job"], sent.attributes["delivery"]) == (job_id, delivery["_id"])
    assert collector.paths == {"/v1/traces"}

    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    told = [line for line in lines if f"delivery {delivery['_id']}" in line["event"]]
    assert [line["trace"] for line in told] == [CALLER]
    assert told[0]["stage"] == "notify"
    assert told[0]["run"] in {run.run_id for run in crank.instance.get_runs()}
    everything = "".join(span.text for span in collector.spans)
    for secret in ("alpha@example.org", "Reader alpha", "Headache", "T-ALPHA", "S1-001"):
        assert secret not in everything


def test_a_share_is_exported_and_what_failed_always(collector: Collector, settings: Settings) -> None:
    at = datetime.now(UTC)

    def work(share: float) -> dict[str, str]:
        """A job that is planned, rendered and sent, and another whose mail fails; their traces."""
        tracing.set_up(
            settings.model_copy(update={"otlp_endpoint": collector.endpoint, "trace_share": share})
        )
        traces = {}
        for name, fault in (("good", ""), ("bad", "mail")):
            with tracing.span("POST /api/reports"):
                job = tracing.begun({"_id": name}, "plan job", job=name)
            traces[name] = tracing.trace_id(job["trace"])
            tracing.told("render report", job["trace"], at, at + timedelta(seconds=2), job=name)
            tracing.told("send email", job["trace"], at, at, fault, job=name)
        tracing.shut_down()
        return traces

    traces = work(share=0.0)
    assert len(set(traces.values())) == 2, "ids are there all the same"
    (failed,) = collector.spans
    assert (failed.trace, failed.name, failed.failed) == (traces["bad"], "send email", True)
    assert failed.attributes == {"job": "bad", "error.type": "mail"}

    collector.spans.clear()
    traces = work(share=1.0)
    for trace in traces.values():
        spans = {span.name: span for span in collector.of(trace)}
        assert list(spans) == ["plan job", "POST /api/reports", "render report", "send email"]
        assert spans["render report"].parent == spans["plan job"].id
        assert spans["render report"].seconds == 2.0

    # What failed inside takes what was around it along, and no text of the error.
    collector.spans.clear()
    tracing.set_up(settings.model_copy(update={"otlp_endpoint": collector.endpoint, "trace_share": 0.0}))
    with suppress(ValueError), tracing.span("render run"), tracing.span("step"):
        raise ValueError("ann@example.org had a fall")
    tracing.shut_down()
    assert [span.name for span in collector.spans] == ["step", "render run"]
    assert all(span.failed for span in collector.spans)
    assert "fall" not in "".join(span.text for span in collector.spans)


def test_a_collector_that_is_away_stops_nothing(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    tracing.set_up(settings.model_copy(update={"otlp_endpoint": "http://127.0.0.1:9", "trace_share": 1.0}))
    with tracing.span("run"):
        pass
    tracing.shut_down()
    assert not any(record.exc_info for record in caplog.records), "a line, no traceback"
    assert not tracing.on()


def test_whoever_asks_does_not_decide_what_is_exported(collector: Collector, settings: Settings) -> None:
    caller = f"00-{CALLER}-00f067aa0ba902b7-01"
    for share, flags in ((0.0, "00"), (1.0, "01")):
        tracing.set_up(
            settings.model_copy(update={"otlp_endpoint": collector.endpoint, "trace_share": share})
        )
        assert tracing.adopted(caller) == f"00-{CALLER}-00f067aa0ba902b7-{flags}"
        for garbage in ("", "00-" + "0" * 32 + "-00f067aa0ba902b7-01", "01" + caller[2:], caller + "x", "é"):
            assert tracing.adopted(garbage) == ""
        tracing.shut_down()


def test_without_an_address_nothing_is_imported_nor_written() -> None:
    assert tracing.begun({"_id": "job_1"}, "plan job") == {"_id": "job_1"}
    assert tracing.current() == ""
    looked = "import sys, reporting_pipeline.stores.jobs; " + (
        "print([name for name in sys.modules if name.startswith('opentelemetry')])"
    )
    said = subprocess.run([sys.executable, "-c", looked], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"
