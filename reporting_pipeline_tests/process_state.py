"""What one test could leave behind in its process for the tests after it.

Two kinds. What the product keeps in memory for the life of its process (measurements that wait, settings read
once) begins anew with each test, as in a process that has just started. What belongs to the process itself
(environment, folder, mask of new files, handlers of signals, loggers) is put back after each test: the
command line sets a mask, Dagster takes SIGTERM, an API masks what its loggers write, all for good.

Caches whose entries can never be wrong (a font, a template, the reading of a date) stay.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from reporting_pipeline import tracing
from reporting_pipeline.console import provider
from reporting_pipeline.delivery.links import masking
from reporting_pipeline.operations import logs
from reporting_pipeline.settings import current_settings
from reporting_pipeline.stores.audit import keys
from reporting_pipeline.stores.measures import MEASURES

#: pytest changes it between the phases of a test.
_OF_PYTEST = "PYTEST_CURRENT_TEST"
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM, signal.SIGCHLD, signal.SIGPIPE)


class Nowhere:
    """A database that takes measurements and keeps none."""

    @property
    def measures(self) -> Nowhere:
        return self

    def bulk_write(self, *_: Any, **__: Any) -> None:
        """Nothing is kept."""


def forget() -> None:
    """Let the product know in this process what it knows in one that has just started."""
    MEASURES.flush(Nowhere())  # type: ignore[arg-type]
    current_settings.cache_clear()
    keys._keys_of_process.cache_clear()
    provider._discover.cache_clear()
    provider._keys.cache_clear()
    tracing.shut_down()


@dataclass(frozen=True)
class LoggerState:
    """What can be set of one logger."""

    level: int
    propagate: bool
    disabled: bool
    handlers: list[logging.Handler]
    filters: list[Any]

    @classmethod
    def of(cls, logger: logging.Logger) -> LoggerState:
        handlers = [each for each in logger.handlers if not _is_pytests(each)]
        return cls(logger.level, logger.propagate, logger.disabled, handlers, logger.filters[:])

    def put_back(self, logger: logging.Logger) -> None:
        if LoggerState.of(logger) == self:
            return
        logger.setLevel(self.level)
        logger.propagate, logger.disabled = self.propagate, self.disabled
        logger.handlers[:] = [*self.handlers, *(each for each in logger.handlers if _is_pytests(each))]
        logger.filters[:] = self.filters


def _is_pytests(handler: logging.Handler) -> bool:
    """Whether pytest put it there: its own come and go with the phases of a test."""
    return type(handler).__module__.startswith("_pytest")


def _loggers() -> dict[str, logging.Logger]:
    for name in (*masking.LOGGERS, *logs._TELL_DATA, *logs._WITH_HANDLERS):  # those that the product sets
        logging.getLogger(name)
    standing = logging.root.manager.loggerDict.items()
    return {"": logging.root} | {name: one for name, one in standing if isinstance(one, logging.Logger)}


def _file_mask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


@dataclass(frozen=True)
class ProcessState:
    """What a process has once, as it was when this was made."""

    environment: dict[str, str] = field(default_factory=lambda: dict(os.environ))
    folder: str = field(default_factory=os.getcwd)
    file_mask: int = field(default_factory=_file_mask)
    signals: dict[signal.Signals, Any] = field(
        default_factory=lambda: {number: signal.getsignal(number) for number in _SIGNALS}
    )
    loggers: dict[str, LoggerState] = field(
        default_factory=lambda: {name: LoggerState.of(one) for name, one in _loggers().items()}
    )
    logging_disabled: int = field(default_factory=lambda: logging.root.manager.disable)
    socket_timeout: float | None = field(default_factory=socket.getdefaulttimeout)

    def put_back(self) -> None:
        """Loggers that came since stay as they are: a library that was imported meanwhile set them up."""
        for name in os.environ.keys() - self.environment.keys() - {_OF_PYTEST}:
            del os.environ[name]
        os.environ.update({name: text for name, text in self.environment.items() if name != _OF_PYTEST})
        time.tzset()
        os.chdir(self.folder)
        os.umask(self.file_mask)
        for number, handler in self.signals.items():
            if signal.getsignal(number) is not handler:
                signal.signal(number, handler)
        loggers = _loggers()
        for name, state in self.loggers.items():
            state.put_back(loggers[name])
        logging.disable(self.logging_disabled)
        socket.setdefaulttimeout(self.socket_timeout)


@contextmanager
def process_of_its_own() -> Iterator[None]:
    """The block finds nothing of what ran before it in this process, and leaves nothing of itself."""
    forget()
    before = ProcessState()
    try:
        yield
    finally:
        before.put_back()
