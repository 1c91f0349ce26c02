"""Which channels a deployment has, from its settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from random import Random
from time import sleep

from reporting_pipeline.delivery.channels.channel import Failpoint, Sender, no_failpoint
from reporting_pipeline.delivery.channels.outbox import Outbox
from reporting_pipeline.delivery.channels.sendgrid import SendGrid
from reporting_pipeline.delivery.channels.slack import Slack
from reporting_pipeline.delivery.channels.smtp import Smtp
from reporting_pipeline.delivery.channels.webhooks import Webhooks
from reporting_pipeline.domain.deliveries import Channel
from reporting_pipeline.settings import Settings


@dataclass(frozen=True)
class Deliverer:
    """The channels of a deployment and what the worker needs beside them."""

    senders: Mapping[Channel, Sender]
    rng: Random = field(default_factory=Random)
    pause: Callable[[float], None] = sleep  # seconds; waits for the shared rate
    failpoint: Failpoint = no_failpoint
    rate_clock: Callable[[], datetime] | None = None  # of the shared rate; None: the database server's

    @property
    def repeatable(self) -> list[str]:
        return [channel.value for channel, sender in self.senders.items() if sender.repeatable]


def open_deliverer(settings: Settings) -> Deliverer:
    """The channels that `settings` describe. Raises ValueError that names a missing setting."""
    backends: dict[str, Callable[[Settings], Sender]] = {
        "outbox": Outbox,
        "sendgrid": SendGrid,
        "smtp": Smtp,
    }
    mail = backends[settings.email_backend](settings)
    return Deliverer(
        {Channel.EMAIL: mail, Channel.SLACK: Slack(settings), Channel.WEBHOOK: Webhooks(settings)}
    )
