"""The limit of the API on this machine: FastAPI and pymongo with nothing between them.

The same database operations as the three routes that `benchmarks.api` measures, on the same
collection: no token, no rights, no limits, no checks, no audit. For
`uvicorn --factory benchmarks.bare_api:app_from_environment`.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from fastapi import Body, FastAPI, Response

from reporting_pipeline.domain.schedules import Schedule
from reporting_pipeline.domain.subscriptions import Filters, Recipient, Subscription
from reporting_pipeline.settings import current_settings
from reporting_pipeline.stores.mongo import Database, Record, open_database
from reporting_pipeline.stores.subscriptions import new_subscription_id, page_of_records, to_record


def app_from_environment() -> FastAPI:
    """The bare service on the database of the settings."""
    settings = current_settings()
    if settings.mongodb_uri is None:
        raise ValueError("MONGODB_URI is not set")
    return bare_app(open_database(settings.mongodb_uri.get_secret_value(), settings.mongodb_database))


def bare_app(database: Database) -> FastAPI:
    """POST and GET /subscriptions, GET /subscriptions/{id}."""
    app = FastAPI(openapi_url=None)
    template = _template()

    @app.get("/healthz")
    def healthz() -> Response:
        return Response(status_code=204)

    @app.post("/subscriptions", status_code=201)
    def create(body: dict[str, Any] = Body()) -> Record:  # noqa: B008 - how FastAPI spells it
        record = {
            **template,
            "_id": new_subscription_id(),
            "owner": body["userId"],
            "organisation": body["organisation"],
        }
        database.subscriptions.insert_one(record)
        return record

    @app.get("/subscriptions")
    def page(organisation: str, limit: int = 50) -> list[Record]:
        return page_of_records(database, organisation, limit=limit)

    @app.get("/subscriptions/{subscription_id}")
    def read(subscription_id: str, organisation: str) -> Record | None:
        return database.subscriptions.find_one({"_id": subscription_id, "organisation": organisation})

    return app


def _template() -> Record:
    """A record as the store writes it: what is inserted weighs the same."""
    now = datetime.now(UTC)
    subscription = Subscription(
        id="",
        organisation="",
        owner="",
        name="Weekly trial activity",
        filters=Filters(trials=("TRIAL-0",)),
        schedule=Schedule(),
        recipients=(Recipient(type="user", value="usr_0"),),
        created_at=now,
        updated_at=now,
    )
    return to_record(subscription, now)
