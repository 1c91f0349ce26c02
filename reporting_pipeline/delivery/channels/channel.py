"""What a channel is to those that send: the protocol that each one keeps."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from reporting_pipeline.delivery.message import Message
from reporting_pipeline.domain.deliveries import SendResult

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
