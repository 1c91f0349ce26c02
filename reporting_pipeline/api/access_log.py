"""What may stand in the access log: no token that opens something."""

from __future__ import annotations

import logging
import re

_TOKEN = re.compile(r"^/(r|unsubscribe|v)/[^/?\s]+")


class WithoutTokens(logging.Filter):
    """Takes the token out of the paths that uvicorn logs: whoever reads logs opens no report."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(
                _TOKEN.sub(r"/\1/[token]", each) if isinstance(each, str) else each for each in record.args
            )
        return True


def redact_access_log() -> None:
    """Once per process; a second call changes nothing."""
    logger = logging.getLogger("uvicorn.access")
    if not any(isinstance(each, WithoutTokens) for each in logger.filters):
        logger.addFilter(WithoutTokens())
