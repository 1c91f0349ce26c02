"""Nothing told of an edition with faults holds an address, a name, a secret or clinical text: its JSON log,
Dagster's events and tags, the errors of jobs and deliveries, metrics."""

from __future__ import annotations

import io
import json
import logging
import re
from collections.abc import Iterator
from datetime import timedelta

import pytest
import requests

from reporting_pipeline.api.app import create_app
from reporting_pipeline.domain.subscriptions import Filters
from reporting_pipeline.operations import logs
from reporting_pipeline.operations.metrics import exposition
from reporting_pipeline.sidecar import sidecar_of
from reporting_pipeline.usecases.callers.tokens import mint_token
from reporting_pipeline_tests.api.conftest import Server
from reporting_pipeline_tests.automation.crank import Crank, document, event, lab_result
from reporting_pipeline_tests.waiting import PATIENCE

TERM, NOTE, UNIT = "Zyzzyvitis", "Quokkadine was spilled", "florin/L"
SUBJECT, TITLE = "SUBJ-7731", "A study of Quokkadine"


@pytest.fixture
def odd(empty: Crank) -> Crank:
    """A trial whose documents hold what must not be told, one of them broken, and two readers."""
    crank = empty
    crank.add_trial("T-ODD")
    crank.database.trials.update_one({"_id": "T-ODD"}, {"$set": {"title": TITLE}})
    at = crank.period().start_at + timedelta(hours=9)
    labs = {"results": [lab_result("ALT", 30.0), lab_result("ZZTEST", 55.0, UNIT)]}
    crank.arrive(
        document("T-ODD", "ae", "adverse_event", at, event(TERM, serious=True), subject=SUBJECT),
        document("T-ODD", "lab", "lab", at, labs, subject=SUBJECT),
        document("T-ODD", "note", "note", at, note=NOTE, subject=SUBJECT),
    )
    # Past the intake, as another writer might: what cannot be read is quoted by whoever fails on it.
    broken = document("T-ODD", "bad", "lab", at, {"results": [{"value": TERM}]}, subject=SUBJECT)
    crank.database.documents.insert_one({**broken, "updated_at": at})
    for name in ("willow", "hazel"):
        crank.subscribe(name, Filters(trials=("T-ODD",)))
    return crank


def everything_told(odd: Crank) -> Iterator[tuple[str, str]]:
    """What those read who operate the deployment, and its metrics; place and text."""
    runs = odd.instance.get_runs()
    yield "tags of runs", repr([run.tags for run in runs])
    events = [repr(event) for run in runs for event in odd.instance.all_logs(run.run_id)]
    yield "dagster's events", "\n".join(events)
    yield (
        "results",
        repr(list(odd.database.asset_results.find({}, {"reason": 1, "metadata": 1, "detail": 1}))),
    )
    yield "jobs", repr(list(odd.database.jobs.find()))
    yield "deliveries' errors", repr(list(odd.database.deliveries.find({}, {"error": 1, "attempts": 1})))
    yield "alerts", repr(list(odd.database.alerts.find()))
    yield "metrics", exposition(odd.database, odd.settings, odd.clock.at).decode()


def test_what_must_not_be_told_stands_in_no_line(odd: Crank, monkeypatch: pytest.MonkeyPatch) -> None:
    root, stream = logging.getLogger(), io.StringIO()
    handlers, level = root.handlers, root.level
    logs.write_json(stream, logging.DEBUG)
    from reporting_pipeline.reports import renderer

    def clumsy(*_: object) -> None:
        raise ValueError(f"{SUBJECT} had {TERM}: {NOTE}")

    try:
        with monkeypatch.context() as patch:  # a fault of ours whose text says too much
            patch.setattr(renderer.ReportRenderer, "render", clumsy)
            odd.complete()
        odd.clock.forward(minutes=2)
        odd.settle()
        app = create_app(odd.settings, odd.database, odd.objects, clock=lambda: odd.clock.at)
        token = mint_token(odd.settings, "usr_willow", odd.clock.at)
        bodies = [one.get_body(("plain",)) for one in odd.mails()]
        texts = [body.get_content() for body in bodies if body is not None]
        tokens = [found[1] for text in texts if (found := re.search(r"/r/(\S+)", text))]
        with Server(sidecar_of(app)) as server:
            for path in (f"/r/{tokens[0]}", "/api/scheduled-reports", "/api/documents", "/console/"):
                headers = {"Authorization": f"Bearer {token}"}
                requests.get(server.base + path, headers=headers, timeout=PATIENCE, allow_redirects=False)
    finally:
        root.handlers, root.level = handlers, level
    assert odd.mailed() == ["hazel@example.org", "willow@example.org"], "there was something to tell"

    told_all = stream.getvalue()
    told_elsewhere = dict(everything_told(odd))
    lines = [json.loads(line) for line in told_all.splitlines()]
    assert any("ValueError" in str(line.get("exception")) for line in lines), (
        "the fault is told, by its class"
    )
    assert any("delivery dlv_" in line["event"] for line in lines)
    secrets = [
        token,
        *tokens,
        odd.settings.link_secret.get_secret_value(),
        odd.settings.s3_secret_access_key.get_secret_value() if odd.settings.s3_secret_access_key else "-",
    ]
    planted = [TERM, NOTE, UNIT, SUBJECT, TITLE, "Quokkadine", "@example.org", "Reader willow", *secrets]
    told = {one: [line for line in told_all.splitlines() if one in line][:1] for one in planted}
    leaked = {one: [line[:300] for line in where] for one, where in told.items() if where}
    assert leaked == {}, leaked
    elsewhere = [
        (one, where, text[max(0, text.index(one) - 200) :][:300])
        for where, text in told_elsewhere.items()
        for one in planted
        if one in text
    ]
    assert elsewhere == []
    assert "ValueError; the log says where" in told_elsewhere["dagster's events"]
