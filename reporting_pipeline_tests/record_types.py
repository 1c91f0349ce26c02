"""Whether what stands in a collection is of the type that its readers are told."""

from __future__ import annotations

from types import UnionType
from typing import Any, NotRequired, Union, get_args, get_origin, get_type_hints, is_typeddict

from pydantic import BaseModel, ConfigDict, Field, create_model

from reporting_pipeline.domain.deliveries import DeliveryRecord
from reporting_pipeline.domain.jobs import JobRecord
from reporting_pipeline.stores.mongo import Database


def _model_of(record: Any) -> type[BaseModel]:
    """A strict model with the fields of a typed dictionary: pydantic takes none of `typing`."""
    fields: dict[str, Any] = {}
    for name, hint in get_type_hints(record, include_extras=True).items():
        may_miss = get_origin(hint) is NotRequired
        kind = get_args(hint)[0] if may_miss else hint
        # A model's fields begin with no underscore.
        fields[f"field{name}"] = (_shape_of(kind), Field(None if may_miss else ..., alias=name))
    config = ConfigDict(strict=True, extra="forbid")
    model: type[BaseModel] = create_model(record.__name__, __config__=config, **fields)
    return model


def _shape_of(kind: Any) -> Any:
    """The type, with a model in the place of each typed dictionary in it."""
    if is_typeddict(kind):
        return _model_of(kind)
    parts = tuple(_shape_of(part) for part in get_args(kind))
    if get_origin(kind) is UnionType:
        return Union[parts]  # noqa: UP007 - its parts are known when it runs
    return get_origin(kind)[parts] if get_origin(kind) is list else kind


_JOB, _DELIVERY = _model_of(JobRecord), _model_of(DeliveryRecord)


def check_job(record: object) -> None:
    """Raises pydantic.ValidationError that names each field which is missing, unknown or of another type."""
    _JOB.model_validate(record)


def check_delivery(record: object) -> None:
    """The same of a delivery."""
    _DELIVERY.model_validate(record)


def check_ledgers(database: Database) -> None:
    """Every job and every delivery of a database."""
    for job in database.jobs.find({}):
        check_job(job)
    for delivery in database.deliveries.find({}):
        check_delivery(delivery)
