"""The notices due after a delivery run: to owners what failed, to organisations what rights held back."""

from __future__ import annotations

from datetime import datetime

from reporting_pipeline.delivery.channels.deliverer import Deliverer
from reporting_pipeline.delivery.notices.failures import (
    editions_with_failures,
    owners_to_tell,
    send_failure_notices,
)
from reporting_pipeline.delivery.notices.mail import may_be_sent
from reporting_pipeline.delivery.notices.rights import (
    editions_held_back,
    organisations_to_tell,
    send_rights_notices,
)
from reporting_pipeline.settings import Settings
from reporting_pipeline.stores.mongo import Database


def send_due_notices(deliverer: Deliverer, database: Database, settings: Settings, now: datetime) -> int:
    """Send the notices of every edition that has some; for the end of each delivery run.

    Returns how many owners and organisations were told.
    """
    if not may_be_sent(database, now):
        return 0
    owners = sum(
        send_failure_notices(deliverer, database, settings, edition, now)
        for edition in editions_with_failures(database, now)
    )
    organisations = sum(
        send_rights_notices(deliverer, database, settings, edition, now)
        for edition in editions_held_back(database, now)
    )
    return owners + organisations


def notices_due(database: Database, now: datetime) -> bool:
    """Whether `send_due_notices` would find a notice to decide, so that a run is worth starting."""
    return may_be_sent(database, now) and (
        any(owners_to_tell(database, edition, now) for edition in editions_with_failures(database, now))
        or any(organisations_to_tell(database, edition, now) for edition in editions_held_back(database, now))
    )
