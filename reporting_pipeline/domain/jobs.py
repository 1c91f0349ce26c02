"""The states of a job and of a delivery, and which changes are legal."""

from __future__ import annotations

from enum import StrEnum


class JobState(StrEnum):
    PENDING = "pending"
    PROCESSING = "processing"
    RENDERED = "rendered"
    DELIVERING = "delivering"
    COMPLETED = "completed"
    FAILED = "failed"
    SKIPPED = "skipped"


class DeliveryState(StrEnum):
    PENDING = "pending"
    SENDING = "sending"
    SENT = "sent"
    DELIVERED = "delivered"
    BOUNCED = "bounced"
    FAILED = "failed"
    UNKNOWN = "unknown"
    SUPPRESSED = "suppressed"


class EditionState(StrEnum):
    OPEN = "open"
    COMPLETED = "completed"
    FAILED = "failed"
