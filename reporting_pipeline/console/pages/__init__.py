"""Pages by subject, one module each: what it reads, what its buttons do. How it looks is in `templates/`."""

from __future__ import annotations

from fastapi import APIRouter

from reporting_pipeline.console.pages import (
    audit,
    jobs,
    operate,
    people,
    reference,
    reports,
    schedules,
    subscribe,
)

ROUTERS: tuple[APIRouter, ...] = (
    reports.router,
    jobs.router,
    subscribe.router,
    schedules.router,
    operate.router,
    people.router,
    audit.router,
    reference.router,
)
