"""Links are keys: whoever reads one opens the report. So no log holds one whole."""

from __future__ import annotations

import logging
import re

#: Our links, wherever they stand in a line: `/r/<token>`, `/unsubscribe/<token>` and so on; and what an
#: identity provider sends a browser back with.
_LINKS = re.compile(r"(/(?:r|unsubscribe|confirm-address|v)/|/console/sign-in/callback\?)[^\s\"'<>?#]+")
MASK = r"\1<masked>"
#: Where an address of a request may be written. Filters of a logger do not see its children's records.
LOGGERS = ("uvicorn", "uvicorn.access", "uvicorn.error", "uvicorn.asgi", "reporting_pipeline")


class LinkMask(logging.Filter):
    """Takes the tokens out of a record's text, its arguments and its exception, and lets it pass."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.msg, str):
            record.msg = masked(record.msg)
        if isinstance(record.args, tuple):
            record.args = tuple(masked(each) if isinstance(each, str) else each for each in record.args)
        elif isinstance(record.args, dict):
            record.args = {
                name: masked(each) if isinstance(each, str) else each for name, each in record.args.items()
            }
        return True


def masked(text: str) -> str:
    """`text` without the tokens of our links."""
    return _LINKS.sub(MASK, text)


def mask_links_in_logs() -> None:
    """For a process that serves links: on its loggers, and on the handlers that stand at the root."""
    places: list[logging.Filterer] = [logging.getLogger(name) for name in LOGGERS]
    places += logging.getLogger().handlers
    for place in places:
        if not any(isinstance(each, LinkMask) for each in place.filters):
            place.addFilter(LinkMask())
