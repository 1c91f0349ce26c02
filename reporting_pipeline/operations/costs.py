"""Prices from a file, and the bill of an edition or of an organisation's time."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import TextIO

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from reporting_pipeline.domain.costs import FOCUS_COLUMNS, Charge, Prices, Service, charges, focus_row
from reporting_pipeline.domain.wrong_values import words_of
from reporting_pipeline.settings import Settings
from reporting_pipeline.stores.mongo import Database
from reporting_pipeline.stores.usage import editions_between, used_by


class _PriceFile(BaseModel):
    """A file of prices: a currency, and what one unit of each service costs."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    currency: str = Field(pattern=r"^[A-Z]{3}$")
    compute_cpu_hour: Decimal = Field(Decimal(0), ge=0)
    storage_gb_month: Decimal = Field(Decimal(0), ge=0)
    mail_thousand: Decimal = Field(Decimal(0), ge=0)
    slack_thousand: Decimal = Field(Decimal(0), ge=0)
    webhook_thousand: Decimal = Field(Decimal(0), ge=0)


def read_prices(path: Path) -> Prices:
    """The prices of a YAML file. Raises ValueError that names the file and the field."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ValueError(f"there is no file of prices {path}; docs/operations.md shows one") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ValueError(f"{path} cannot be read as YAML: {type(error).__name__}") from None
    try:
        # As text: 0.1 of a YAML file is a tenth, and not the nearest binary fraction.
        fields = {name: str(value) for name, value in content.items()} if isinstance(content, dict) else {}
        told = _PriceFile.model_validate(fields)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise ValueError(f"{path}: {'.'.join(map(str, first['loc']))}: {words_of(first)}") from None
    thousand = Decimal(1000)
    return Prices(
        told.currency,
        {
            Service.COMPUTE: told.compute_cpu_hour,
            Service.STORAGE: told.storage_gb_month,
            Service.MAIL: told.mail_thousand / thousand,
            Service.SLACK: told.slack_thousand / thousand,
            Service.WEBHOOK: told.webhook_thousand / thousand,
        },
    )


def bill(
    database: Database, settings: Settings, prices: Prices, editions: Iterable[str], organisation: str | None
) -> list[Charge]:
    """The charges of editions, of one organisation or of all."""
    used = [
        one
        for edition in editions
        for one in used_by(database, edition, settings.timezone)
        if organisation in (None, one.organisation)
    ]
    return charges(used, prices, settings.keep_reports_days)


def editions_of_time(database: Database, since: datetime, until: datetime) -> list[str]:
    """The editions that were opened in `[since, until)`."""
    return list(editions_between(database, since, until))


def write_focus(lines: Iterable[Charge], prices: Prices, deployment: str, file: TextIO) -> None:
    """A bill as CSV in FOCUS's columns."""
    writer = csv.DictWriter(file, FOCUS_COLUMNS, lineterminator="\n")
    writer.writeheader()
    for line in lines:
        writer.writerow(focus_row(line, prices.currency, deployment))
