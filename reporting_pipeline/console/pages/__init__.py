"""Pages by subject, one module each: what it reads, what its buttons do. How it looks is in `templates/`."""

from __future__ import annotations

from fastapi import APIRouter

from reporting_pipeline.console.pages import (
    audit,
    confirm,
    corrections,
    documents,
    jobs,
    live,
    operate,
    people,
    person,
    reference,
    registry,
    reports,
    schedules,
    subscribe,
    traces,
)

ROUTERS: tuple[APIRouter, ...] = (
    reports.router,
    jobs.router,
    live.router,
    subscribe.router,
    schedules.router,
    operate.router,
    people.router,
    person.router,
    registry.router,
    audit.router,
    confirm.router,
    documents.router,
    corrections.router,
    traces.router,
    reference.router,
)
