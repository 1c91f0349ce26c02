"""E-mail as files: one .eml per delivery in a folder, for local use, demonstrations and tests.

The file's name is the delivery's id and a file is never replaced, so a delivery cannot be in the
outbox twice, whatever dies in between.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from uuid import uuid4

from reporting_pipeline.delivery.channels.channel import Failpoint, Results
from reporting_pipeline.delivery.channels.mime import to_bytes
from reporting_pipeline.delivery.message import Message
from reporting_pipeline.domain.deliveries import Outcome, SendResult
from reporting_pipeline.settings import Settings

#: Files are put to disk side by side: the disk takes several at once in the time of one.
WRITTEN_AT_ONCE = 4


class Outbox:
    """A Sender into `settings.outbox`."""

    repeatable = True
    at_once = 100
    per_second: float | None = None
    attempts: int | None = None

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.schedule = settings.delivery_retries
        self.folder = settings.outbox

    def groups(self, messages: Sequence[Message]) -> list[list[Message]]:
        return [list(messages)]

    def send(self, messages: Sequence[Message], now: datetime, failpoint: Failpoint) -> Iterator[Results]:
        self.folder.mkdir(parents=True, exist_ok=True)

        def write(message: Message) -> tuple[Message, SendResult]:
            failpoint("outbox.before_write")
            result = self._write(message, failpoint)
            failpoint("outbox.after_write")
            return message, result

        with ThreadPoolExecutor(WRITTEN_AT_ONCE, thread_name_prefix="outbox") as pool:
            results = list(pool.map(write, messages))
        sync_folder(self.folder)
        yield results

    def _write(self, message: Message, failpoint: Failpoint) -> SendResult:
        try:
            body = to_bytes(message, self.settings)
            write_once(self.folder / f"{message.wire_id}.eml", body, failpoint)
        except (OSError, ValueError) as error:
            # A full disk or one odd header must not stop the others.
            return SendResult(Outcome.RETRY, error=f"{type(error).__name__}: {error}")
        # No id: there is no provider, and the file is named by the delivery.
        return SendResult(Outcome.ACCEPTED)


def write_once(path: Path, body: bytes, failpoint: Failpoint) -> bool:
    """Write a whole file under a name that was free. False when it stood already; it then stays as it is."""
    temporary = path.with_name(f".{uuid4().hex}.part")
    try:
        with temporary.open("xb") as file:
            file.write(body)
            file.flush()
            os.fsync(file.fileno())
        failpoint("outbox.before_link")
        os.link(temporary, path)
    except FileExistsError:
        return False
    finally:
        temporary.unlink(missing_ok=True)
    return True


def sync_folder(folder: Path) -> None:
    """Make the names in a folder survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
