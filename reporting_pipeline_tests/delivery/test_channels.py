"""A channel is known wherever channels are told apart: one that is forgotten there is found here."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import get_args

import pytest

from reporting_pipeline.console.wording import CHANNELS
from reporting_pipeline.delivery.channels.deliverer import open_deliverer
from reporting_pipeline.domain.costs import SERVICES, Prices, Service, Used, charges
from reporting_pipeline.domain.deliveries import Channel
from reporting_pipeline.domain.subscriptions import RecipientKind
from reporting_pipeline.settings import Settings

#: What costs something besides messages.
OTHER_SERVICES = {Service.COMPUTE, Service.STORAGE}


def test_a_recipient_is_of_a_channel_or_a_user() -> None:
    assert set(get_args(RecipientKind)) == {*(channel.value for channel in Channel), "user"}


def test_a_deployment_has_a_sender_for_every_channel() -> None:
    assert set(open_deliverer(Settings()).senders) == set(Channel)


def test_every_channel_has_a_name_for_people() -> None:
    assert set(CHANNELS) == {channel.value for channel in Channel}


@pytest.mark.parametrize("channel", list(Channel))
def test_a_message_is_charged_whatever_its_channel(channel: Channel) -> None:
    """One service for each, with a unit and a name."""
    start = datetime(2026, 12, 7, tzinfo=UTC)
    used = Used("weekly:2026-12-07", start, start, "acme", "safety_summary", 1, 0.0, 0, {channel.value: 3})
    (line,) = charges([used], Prices("EUR", {}), 90)
    assert line.quantity == Decimal(3)
    assert line.service not in OTHER_SERVICES
    assert SERVICES[line.service][0] == "messages"
