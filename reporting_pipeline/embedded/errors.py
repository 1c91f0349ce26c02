"""What can go wrong with the embedded servers; every message says what to do about it."""

from __future__ import annotations


class EmbeddedError(RuntimeError):
    """The embedded servers cannot be used as asked."""


class BinaryMissing(EmbeddedError):
    """The server's program is not installed."""


class HomeLocked(EmbeddedError):
    """Another process is starting or stopping the servers of the same home."""


class HomeNotUsable(EmbeddedError):
    """The home cannot hold the servers' data: not writable, or its secrets are gone."""


class ServerFailed(EmbeddedError):
    """A server died or did not answer in time; the message ends with the last lines of its log."""
