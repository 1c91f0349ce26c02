"""The routes, one module per part of the API. Thin: rules are in `domain`, data is in `stores`."""

from __future__ import annotations

from fastapi import APIRouter

from reporting_pipeline.api.routes import (
    dead_letters,
    documents,
    editions,
    events,
    holds,
    mail_links,
    mailings,
    people,
    personal_data,
    previews,
    registry,
    releases,
    report_types,
    scheduled_reports,
    service,
    subscriptions,
    trace,
    verification,
)

#: In this order: `mailings` has fixed words where `editions` has an id.
ROUTERS: tuple[APIRouter, ...] = (
    subscriptions.router,
    scheduled_reports.router,
    previews.router,
    report_types.router,
    mailings.router,
    mailings.resend_router,
    editions.router,
    events.router,
    documents.batch_router,
    documents.router,
    dead_letters.router,
    holds.router,
    releases.router,
    people.router,
    personal_data.router,
    registry.router,
    trace.router,
    mail_links.router,
    verification.router,
    service.router,
)
