"""Which commands a client sent to the server."""

from __future__ import annotations

from typing import Any

from pymongo.monitoring import (
    CommandFailedEvent,
    CommandListener,
    CommandStartedEvent,
    CommandSucceededEvent,
)

SILENT = frozenset({"hello", "isMaster", "ismaster", "ping", "endSessions", "createIndexes"})


class CommandsSeen(CommandListener):
    """Every command a client started, in order; for `event_listeners` of a MongoClient."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, dict[str, Any]]] = []

    def started(self, event: CommandStartedEvent) -> None:
        if event.command_name not in SILENT:
            self.seen.append((event.command_name, dict(event.command)))

    def succeeded(self, event: CommandSucceededEvent) -> None:
        """Nothing to note."""

    def failed(self, event: CommandFailedEvent) -> None:
        """Nothing to note."""

    def count(self, name: str) -> int:
        return sum(one == name for one, _ in self.seen)

    def described(self) -> list[str]:
        """Such as "find users"."""
        return [f"{name} {command[name]}" for name, command in self.seen]
