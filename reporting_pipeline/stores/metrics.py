"""Figures of the deployment for Prometheus, counted in the database.

Counting there and not in the process makes them the same whichever worker answers. Nothing personal:
counts by state only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from reporting_pipeline.domain.jobs import DeliveryState, EditionState, JobState
from reporting_pipeline.stores.alerts import open_alerts
from reporting_pipeline.stores.dead_letters import gauge
from reporting_pipeline.stores.mongo import Database

_COUNTED: Sequence[tuple[str, str, str, str, tuple[str, ...]]] = (
    ("reporting_jobs", "jobs", "state", "Jobs by state.", tuple(JobState)),
    ("reporting_deliveries", "deliveries", "state", "Deliveries by state.", tuple(DeliveryState)),
    ("reporting_editions", "editions", "state", "Editions by state.", tuple(EditionState)),
    (
        "reporting_subscriptions",
        "subscriptions",
        "status",
        "Subscriptions by status.",
        ("active", "paused", "ended"),
    ),
)


@dataclass(frozen=True)
class Figure:
    """One metric: its samples by label."""

    name: str
    help: str
    label: str  # "" for a metric with one sample
    samples: Mapping[str, float]

    def as_text(self) -> str:
        """In Prometheus' text format."""
        lines = [f"# HELP {self.name} {self.help}", f"# TYPE {self.name} gauge"]
        for value, number in self.samples.items():
            labels = f'{{{self.label}="{value}"}}' if self.label else ""
            lines.append(f"{self.name}{labels} {number:g}")
        return "\n".join(lines) + "\n"


def figures(database: Database, now: datetime) -> list[Figure]:
    """The deployment's figures at `now`."""
    found = [
        Figure(name, text, field, {value: _count(database, collection, field, value) for value in values})
        for name, collection, field, text, values in _COUNTED
    ]
    found.append(
        Figure(
            "reporting_jobs_due_seconds",
            "How long the longest due pending job has been due.",
            "",
            {"": _longest_due(database, now)},
        )
    )
    letters = gauge(database)
    found += [
        Figure("reporting_dead_letters", "Deliveries given up.", "", {"": letters.count}),
        Figure(
            "reporting_dead_letters_oldest_seconds",
            "Age of the oldest delivery given up.",
            "",
            {"": (now - letters.oldest).total_seconds() if letters.oldest else 0.0},
        ),
        Figure(
            "reporting_alerts_open",
            "Alerts that wait for a person, such as a halted channel or absent reports.",
            "",
            {"": len(open_alerts(database))},
        ),
    ]
    return found


def _count(database: Database, collection: str, field: str, value: str) -> int:
    return database[collection].count_documents({field: value})


def _longest_due(database: Database, now: datetime) -> float:
    query = {"state": JobState.PENDING.value, "due_at": {"$lte": now}}
    oldest = database.jobs.find_one(query, {"due_at": 1}, sort=[("due_at", 1)])
    return (now - oldest["due_at"]).total_seconds() if oldest else 0.0
