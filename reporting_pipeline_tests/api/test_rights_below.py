"""Every use case asks the rights of its caller itself: no route, page or command can forget to."""

from __future__ import annotations

import inspect
import pkgutil
from collections.abc import Callable
from importlib import import_module
from types import SimpleNamespace
from typing import Any

import pytest

from reporting_pipeline.domain.access import Action
from reporting_pipeline.domain.figures import Figure
from reporting_pipeline.domain.schedules import Schedule
from reporting_pipeline.domain.subscriptions import Filters, Format
from reporting_pipeline.settings import Settings
from reporting_pipeline.stores import users
from reporting_pipeline.stores.mongo import Database
from reporting_pipeline.stores.objects import ObjectStore
from reporting_pipeline.usecases import callers
from reporting_pipeline.usecases.callers import (
    following,
    holds,
    people,
    previewing,
    reading,
    registering,
    releases,
    reports,
    submitting,
    subscribing,
    tracing,
)
from reporting_pipeline.usecases.callers.context import Context
from reporting_pipeline.usecases.callers.cursors import Cursors
from reporting_pipeline.usecases.callers.limits import RateLimits
from reporting_pipeline.usecases.callers.problems import Problem
from reporting_pipeline.usecases.callers.shapes.people import UserRequest
from reporting_pipeline.usecases.callers.shapes.registry import (
    OrganisationChange,
    OrganisationRequest,
    Site,
    TrialChange,
    TrialRequest,
)
from reporting_pipeline.usecases.callers.subscribing import SNAKE, Draft
from reporting_pipeline_tests.api.world import NOW, OWNER, populate

#: Parts of use cases: what they are given was asked for before, or they answer a question about it.
PARTS = {"scoped", "require", "caller_of", "allowed_address", "check", "refused_recipients"}
PARTS |= {
    "subscription_of",
    "rights_changed",
    "admitted",
    "under_way_for",
    "note_read",
    "asked_again",
    "histories",
}
DOCUMENT_FIELDS = {"trial": "T1", "site": "701", "subject": "", "kind": "note", "title": "x", "data": "{}"}
Call = Callable[[Context, Any, SimpleNamespace], object]
READS: dict[str, Call] = {
    "find_user": lambda d, c, w: people.find_user(d, c, OWNER, Action.READ),
    "list_people": lambda d, c, w: people.list_people(d, c, None, 10),
    "list_trials": lambda d, c, w: registering.list_trials(d, c, 10, None),
    "get_trial": lambda d, c, w: registering.get_trial(d, c, "T1"),
    "list_organisations": lambda d, c, w: registering.list_organisations(d, c, 10, None),
    "get_organisation": lambda d, c, w: registering.get_organisation(d, c, "default"),
    "logo_of": lambda d, c, w: registering.logo_of(d, c, "default"),
    "watched_by": lambda d, c, w: following.watched_by(d, c, [w.job], []),
    "find_job": lambda d, c, w: reports.find_job(d, c, w.job),
    "edition_to_read": lambda d, c, w: reading.edition_to_read(d, c, w.job),
    "readable_report": lambda d, c, w: reports.readable_report(d, c, w.whole_job),
    "versions_of": lambda d, c, w: submitting.versions_of(d, c, w.document),
    "file_address": lambda d, c, w: submitting.file_address(d, c, w.document),
    "find_document": lambda d, c, w: submitting.find_document(d, c, w.document),
    "find": lambda d, c, w: subscribing.find(d, c, w.subscription),
    "preview_draft": lambda d, c, w: previewing.preview_draft(
        d, c, Draft("x", Schedule(), Filters(), ()), Format.PDF, SNAKE
    ),
    "traced": lambda d, c, w: tracing.traced(d, c, w.report, next(iter(Figure))),
}
CHANGES: dict[str, Call] = {
    "hold": lambda d, c, w: holds.hold(d, c, w.report, "critical", "kept for the board"),
    "lift": lambda d, c, w: holds.lift(d, c, w.report),
    "replace_person": lambda d, c, w: people.replace_person(
        d, c, "usr_new", UserRequest(email="new@default.example", name="New", roles=["subscriber"], trials=[])
    ),
    "register_trial": lambda d, c, w: registering.register_trial(d, c, TrialRequest(id="T9", title="T9")),
    "change_trial": lambda d, c, w: registering.change_trial(d, c, "T1", TrialChange(title="T")),
    "close_trial": lambda d, c, w: registering.close_trial(d, c, "T1"),
    "reopen_trial": lambda d, c, w: registering.reopen_trial(d, c, "T1"),
    "register_organisation": lambda d, c, w: registering.register_organisation(
        d, c, OrganisationRequest(id="new", name="New")
    ),
    "change_organisation": lambda d, c, w: registering.change_organisation(
        d, c, "default", OrganisationChange(name="N")
    ),
    "close_organisation": lambda d, c, w: registering.close_organisation(d, c, "other"),
    "set_logo": lambda d, c, w: registering.set_logo(d, c, "default", None),
    "add_site": lambda d, c, w: registering.add_site(d, c, "T1", Site(id="709", name="S")),
    "release_or_refuse": lambda d, c, w: releases.release_or_refuse(
        d, c, w.awaiting, w.awaiting_sha256, "review", "looked at it", NOW
    ),
    "job_of_registered": lambda d, c, w: reports.job_of_registered(d, c, w.edition, w.email),
    "send_to": lambda d, c, w: reports.send_to(d, c, w.job, "x@default.example"),
    "send_again": lambda d, c, w: reports.send_again(d, c, w.job, "b@default.example"),
    "hand_in": lambda d, c, w: submitting.hand_in(d, c, DOCUMENT_FIELDS, None),
    "correct": lambda d, c, w: submitting.correct(d, c, w.document, DOCUMENT_FIELDS, "a slip"),
    "withdraw": lambda d, c, w: submitting.withdraw(d, c, w.document, "a slip"),
    "find_to_change": lambda d, c, w: submitting.find_to_change(d, c, w.document, Action.CHANGE),
    "owner_of": lambda d, c, w: subscribing.owner_of(d, c, OWNER, Action.CREATE, SNAKE),
    "create": lambda d, c, w: subscribing.create(d, c, w.owner, Draft("x", Schedule(), Filters(), ()), SNAKE),
    "change": lambda d, c, w: subscribing.change(
        d, c, w.subscription, None, lambda current: {"name": "x"}, SNAKE
    ),
    "transfer": lambda d, c, w: subscribing.transfer(d, c, w.subscription, w.owner),
    "set_status": lambda d, c, w: subscribing.set_status(d, c, w.subscription, "paused", None),
    "confirm": lambda d, c, w: subscribing.confirm(d, c, w.subscription),
    "end": lambda d, c, w: subscribing.end(d, c, w.subscription, None),
    "run_now": lambda d, c, w: subscribing.run_now(d, c, w.subscription),
}


@pytest.fixture
def deployment(database: Database, objects: ObjectStore, settings: Settings, organisations: None) -> Context:
    limits = RateLimits(settings, database)
    return Context(settings, database, objects, limits, Cursors(settings), lambda: NOW)


@pytest.fixture
def world(deployment: Context) -> SimpleNamespace:
    ids = SimpleNamespace(**populate(deployment.database, deployment.objects))
    ids.whole_job = deployment.database.jobs.find_one({"_id": ids.job})
    awaiting = deployment.database.reports.find_one({"subscription": "sub_awaiting"}) or {}
    ids.awaiting_sha256 = awaiting["sha256"]
    ids.owner = users.get_user(deployment.database, OWNER)
    return ids


def everything(database: Database) -> dict[str, list[str]]:
    """All that is stored, but for what counts requests."""
    names = [one for one in database.list_collection_names() if not one.startswith("rate_")]
    return {name: sorted(map(repr, database[name].find({}))) for name in names}


def test_nobody_without_a_role_does_anything(deployment: Context, world: SimpleNamespace) -> None:
    nobody = users.get_user(deployment.database, "usr_default_nobody")
    before = everything(deployment.database)
    for name, call in (READS | CHANGES).items():
        with pytest.raises(Problem) as refused:
            call(deployment, nobody, world)
        assert refused.value.status in (403, 404), name
    assert everything(deployment.database) == before


def test_who_reads_everything_changes_nothing(deployment: Context, world: SimpleNamespace) -> None:
    analyst = users.get_user(deployment.database, "usr_default_analyst")
    before = everything(deployment.database)
    for name, call in CHANGES.items():
        with pytest.raises(Problem) as refused:
            call(deployment, analyst, world)
        assert refused.value.status in (403, 404), name
    assert everything(deployment.database) == before


def test_every_use_case_of_a_caller_is_tried_here() -> None:
    found = set()
    for module in pkgutil.iter_modules(callers.__path__, f"{callers.__name__}."):
        for name, value in vars(import_module(module.name)).items():
            own = inspect.isfunction(value) and value.__module__ == module.name and not name.startswith("_")
            if own and any(one.annotation == "User" for one in inspect.signature(value).parameters.values()):
                found.add(name)
    assert found - PARTS == set(READS) | set(CHANGES)
