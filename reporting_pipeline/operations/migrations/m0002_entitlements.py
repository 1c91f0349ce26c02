"""Say what was meant: a user with no trials saw all of them, which is `all` from here on."""

from __future__ import annotations

from datetime import UTC, datetime

from reporting_pipeline.operations.migrations.step import Beat, Step
from reporting_pipeline.stores.mongo import Database
from reporting_pipeline.stores.users import forget_entitlements, say_entitlements, without_entitlements


def _up(database: Database, beat: Beat) -> int:
    changed = say_entitlements(database, datetime.now(UTC))
    beat()
    return changed


def _down(database: Database, beat: Beat) -> int:
    """The version before knows no sites, subjects and audiences: who has any of these is deactivated."""
    changed = forget_entitlements(database, datetime.now(UTC))
    beat()
    return changed


STEP = Step(2, "what users may see is said, and nothing said is nothing", _up, without_entitlements, _down)
