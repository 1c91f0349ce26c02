"""What a report from files can be written as."""

from __future__ import annotations

from enum import StrEnum


class Output(StrEnum):
    """The formats of a subscription, and everything as JSON."""

    PDF = "pdf"
    CSV = "csv"
    XLSX = "xlsx"
    JSON = "json"
