"""Whether a report is still needed: when its owner last said so, when they are asked, by when they answer.

An organisation may say after how many days it is asked (`confirm_after_days`). What nobody confirms within
GRACE after the question is paused; nothing is ever paused that was not asked about first.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from reporting_pipeline.domain.subscriptions import Subscription

GRACE = timedelta(days=30)


def last_word(subscription: Subscription) -> datetime:
    """When somebody last wanted it: made, resumed or confirmed it."""
    words = (subscription.created_at, subscription.resumed_at, subscription.confirmed_at)
    return max(one for one in words if one is not None)


def answer_by(subscription: Subscription) -> datetime | None:
    """By when it is confirmed or paused; None while nobody asks."""
    asked = subscription.confirmation_asked_at
    if subscription.status != "active" or asked is None or asked <= last_word(subscription):
        return None
    return asked + GRACE


def to_be_asked(subscription: Subscription, after_days: int, now: datetime) -> bool:
    """Whether its owner is to be asked now."""
    if subscription.status != "active" or answer_by(subscription) is not None:
        return False
    return last_word(subscription) + timedelta(days=after_days) <= now


def to_be_paused(subscription: Subscription, now: datetime) -> bool:
    """Whether it was asked about and nobody answered in time."""
    until = answer_by(subscription)
    return until is not None and until <= now


def paused_unconfirmed(subscription: Subscription) -> bool:
    """Whether it stands paused because nobody confirmed it, and not by somebody's own pause since."""
    since = subscription.unconfirmed_at
    standing = subscription.status == "paused" and subscription.paused_until is None
    return standing and since is not None and since > last_word(subscription)
