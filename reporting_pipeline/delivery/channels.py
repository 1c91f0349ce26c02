"""What a channel is to the worker, and which channels a deployment has."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from time import sleep
from typing import Protocol

from reporting_pipeline.delivery.messages import Message
from reporting_pipeline.domain.deliveries import Channel, SendResult
from reporting_pipeline.settings import Settings

Failpoint = Callable[[str], None]  # called with the name of the place; a test may end the process there
Results = list[tuple[Message, SendResult]]


def no_failpoint(_place: str) -> None:
    """The failpoint of every deployment: nothing happens."""


class Sender(Protocol):
    """One way out. `send` yields results as they become known, so that each is written down at once."""

    @property
    def repeatable(self) -> bool:
        """Whether sending the same delivery twice does no harm: the other side keeps one."""

    @property
    def at_once(self) -> int:
        """How many messages are written before the first of them is sent."""

    @property
    def per_second(self) -> float | None:
        """The rate all workers share; None for as fast as it goes."""

    @property
    def schedule(self) -> tuple[timedelta, ...]:
        """The waits between attempts."""

    @property
    def attempts(self) -> int | None:
        """How many attempts before the dead letter; None for the deployment's `max_attempts`."""

    def groups(self, messages: Sequence[Message]) -> list[list[Message]]:
        """The messages by request: those of one group may become unknown together."""

    def send(self, messages: Sequence[Message], now: datetime, failpoint: Failpoint) -> Iterator[Results]:
        """Try every message of one group exactly once. Raises nothing for what the other side does."""


@dataclass(frozen=True)
class Deliverer:
    """The channels of a deployment and what the worker needs beside them."""

    senders: Mapping[Channel, Sender]
    rng: Random = field(default_factory=Random)
    pause: Callable[[float], None] = sleep  # seconds; waits for the shared rate
    failpoint: Failpoint = no_failpoint

    @property
    def repeatable(self) -> list[str]:
        return [channel.value for channel, sender in self.senders.items() if sender.repeatable]


def open_deliverer(settings: Settings) -> Deliverer:
    """The channels that `settings` describe. Raises ValueError that names a missing setting."""
    # Here, because the channels import the types of this module.
    from reporting_pipeline.delivery.outbox import Outbox
    from reporting_pipeline.delivery.sendgrid_mail import SendGrid
    from reporting_pipeline.delivery.slack import Slack
    from reporting_pipeline.delivery.smtp import Smtp
    from reporting_pipeline.delivery.webhooks import Webhooks

    backends: dict[str, Callable[[Settings], Sender]] = {
        "outbox": Outbox,
        "sendgrid": SendGrid,
        "smtp": Smtp,
    }
    mail = backends[settings.email_backend](settings)
    return Deliverer(
        {Channel.EMAIL: mail, Channel.SLACK: Slack(settings), Channel.WEBHOOK: Webhooks(settings)}
    )
