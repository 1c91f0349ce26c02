"""Log lines as JSON, one object a line, without secrets, addresses or links.

`write_json` takes over the root logger and those of uvicorn and Dagster's servers; libraries and the
product go on using `logging`. Fields: `timestamp` (UTC, ISO 8601), `level`, `logger`, `event`, what is
bound in this context (`bound`: the request or run that a line belongs to), and for an error `exception`,
one text.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import traceback
from collections.abc import MutableMapping
from contextlib import AbstractContextManager
from typing import Any, TextIO

import structlog

from reporting_pipeline.settings import Settings
from reporting_pipeline.stores.error_texts import OF_MACHINES

#: What must not stand in a line, and what stands there instead. Ids of ours are opaque and stay.
#: Each takes a time in proportion to the line, whatever stands in it: strangers write addresses of requests.
#: So a run of letters is looked at from its beginning alone, and what may be repeated before the rest has a
#: limit.
MASKED: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"(?i)([a-z][a-z0-9+.-]{0,30}://)[^/\s:@]*:[^/\s@]*@"), r"\1***@"),
    (re.compile(r"(/(?:r|unsubscribe|confirm-address|v)/|/console/sign-in/callback\?)[^\s\"'?]+"), r"\1***"),
    (re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]+"), r"\1 ***"),
    (re.compile(r"\bSG\.[\w-]+\.[\w-]+"), "SG.***"),
    (re.compile(r"\bxox[a-z]-[\w-]+"), "xox-***"),
    (re.compile(r"\beyJ[\w-]+(?:\.[\w-]*){0,2}"), "***"),
    (re.compile(r"(?i)\b(x-amz-[a-z-]{0,40}(?:signature|credential|token))=[^&\s\"']+"), r"\1=***"),
    (re.compile(r"(?i)\b(password|secret|token|api[_-]?key)([\"']?\s*[=:]\s*[\"']?)[^\s\"',&]+"), r"\1\2***"),
    (re.compile(r"(?<![\w.!#$%&'*+/=?^`{|}~-])[\w.!#$%&'*+/=?^`{|}~-]+@[\w-]+(?:\.[\w-]+)+"), "***@***"),
)
#: Loggers that their makers gave a handler of their own: uvicorn's, and those of Dagster's processes.
#: Libraries that log whole commands, requests or answers when they are asked for details.
_TELL_DATA = ("pymongo", "botocore", "boto3", "urllib3", "python_http_client")
_WITH_HANDLERS = ("uvicorn", "uvicorn.error", "uvicorn.access", "dagster", "dagster.code_server")


#: How many errors of a chain are told.
CHAINED = 5


def masked(text: str) -> str:
    """`text` without secrets, links to reports, and e-mail addresses."""
    for pattern, instead in MASKED:
        text = pattern.sub(instead, text)
    return text


def set_up(settings: Settings) -> None:
    """Let this process write its log as the settings say; `text` leaves it as its starter made it."""
    if settings.log_format == "json":
        write_json()


def write_json(stream: TextIO | None = None, level: int = logging.INFO) -> None:
    """From here on every logger of this process writes JSON to `stream` (default: stderr)."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[
                structlog.contextvars.merge_contextvars,
                structlog.stdlib.add_log_level,
                structlog.stdlib.add_logger_name,
                structlog.processors.TimeStamper(fmt="iso", utc=True),
            ],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _exception_told,
                _without_secrets,
                structlog.processors.JSONRenderer(serializer=_in_one_line),
            ],
        )
    )
    for name in _TELL_DATA:
        logging.getLogger(name).setLevel(logging.WARNING)
    root = logging.getLogger()
    root.handlers, root.level = [handler], level
    for name in _WITH_HANDLERS:
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [], True


def _in_one_line(entry: Any, **how: Any) -> str:
    """The entry as JSON in which nothing breaks, turns or colours a line: what no printer shows is escaped,
    letters of any script stay. `json` leaves C1 controls (some steer a terminal), U+2028 and marks of
    direction alone."""
    line = json.dumps(entry, ensure_ascii=False, **how)
    if line.isprintable():
        return line
    return "".join(one if one.isprintable() else json.dumps(one)[1:-1] for one in line)


def bound(**fields: str) -> AbstractContextManager[None]:
    """Put `fields` on each line that is written inside the block, in this thread or task."""
    return structlog.contextvars.bound_contextvars(**fields)


def _exception_told(_logger: Any, _method: str, entry: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """`exc_info` as `exception`: each error's class and where it came from.

    Its text stands there only where it speaks of a connection or a file: what one of ours or of a library
    says may quote a document. The whole text is with the partition or job that failed.
    """
    given = entry.pop("exc_info", None)
    if not given:
        return entry
    error = (
        given
        if isinstance(given, BaseException)
        else (given if isinstance(given, tuple) else sys.exc_info())[1]
    )
    parts: list[str] = []
    while error is not None and len(parts) < CHAINED:
        text = str(error) if isinstance(error, OF_MACHINES) else ""
        frames = "".join(traceback.format_tb(error.__traceback__))
        parts.append(f"{type(error).__module__}.{type(error).__qualname__}: {text}\n{frames}".strip())
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    entry["exception"] = "\ncaused by\n".join(parts)
    return entry


def _without_secrets(_logger: Any, _method: str, entry: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    return {name: masked(value) if isinstance(value, str) else value for name, value in entry.items()}
