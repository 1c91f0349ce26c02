"""A line of the log is one JSON object, and gives away nothing."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
from collections.abc import Iterator

import pytest

from reporting_pipeline.operations.logs import bound, masked, write_json
from reporting_pipeline_tests.waiting import PATIENCE


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """What this process logs as JSON; the loggers are as before afterwards."""
    root, stream = logging.getLogger(), io.StringIO()
    names = ("uvicorn", "uvicorn.error", "uvicorn.access")
    before = [
        (logging.getLogger(n), logging.getLogger(n).handlers, logging.getLogger(n).propagate) for n in names
    ]
    handlers, level = root.handlers, root.level
    write_json(stream)
    yield stream
    root.handlers, root.level = handlers, level
    for logger, its_handlers, propagates in before:
        logger.handlers, logger.propagate = its_handlers, propagates


def test_a_line_is_an_object_with_its_time_level_and_what_it_belongs_to(lines: io.StringIO) -> None:
    with bound(request="req_1"):
        logging.getLogger("reporting_pipeline.x").warning("edition %s is open\nstill", "weekly:2026-11-16")
    (line,) = lines.getvalue().splitlines()
    entry = json.loads(line)
    assert entry["event"] == "edition weekly:2026-11-16 is open\nstill"
    assert (entry["level"], entry["logger"], entry["request"]) == ("warning", "reporting_pipeline.x", "req_1")
    assert entry["timestamp"].endswith("Z")


def test_no_text_breaks_turns_or_colours_a_line(lines: io.StringIO) -> None:
    """What somebody named may stand in a line, and a terminal or a viewer would do as it says."""
    text = "a\r\nb\x1b[2Kc\x9b2Jd\u202ee\u2066f\u2028g\x85h\u200bi\U000e0041 Grüße 試験"
    logging.getLogger("x").warning("trial %s", text)
    written = lines.getvalue()
    assert written.endswith("\n")
    assert written[:-1].isprintable()
    assert json.loads(written)["event"] == f"trial {text}"
    assert "Grüße 試験" in written


def test_an_exception_is_one_line_and_masked_too(lines: io.StringIO) -> None:
    try:
        raise ConnectionError("mongodb://pipeline:hunter2@db.example.org refused ann@example.org")
    except ConnectionError:
        logging.getLogger("x").exception("failed")
    (line,) = lines.getvalue().splitlines()
    entry = json.loads(line)
    assert "ConnectionError" in entry["exception"]
    assert "hunter2" not in line
    assert "ann@" not in line


def test_the_access_log_names_no_link(lines: io.StringIO) -> None:
    access = logging.getLogger("uvicorn.access")
    access.setLevel(logging.INFO)  # a server of another test may have set it higher
    access.info('%s - "%s %s HTTP/%s" %d', "10.0.0.1:1", "GET", "/r/abc.def?x=1", "1.1", 302)
    assert "abc.def" not in lines.getvalue()
    assert "GET /r/***" in json.loads(lines.getvalue())["event"]


@pytest.mark.parametrize(
    "text",
    [
        "smtp://user:hunter2@mail.example.org",
        "Authorization: Bearer hunter2.abc",
        "SG.hunter2.hunter2",
        "xoxb-hunter2-1",
        "eyJhbGciOi.hunter2.hunter2",
        "?X-Amz-Signature=hunter2&a=1",
        "password=hunter2",
        '{"api_key": "hunter2"}',
        "/unsubscribe/hunter2",
        "/confirm-address/hunter2",
        "GET /console/sign-in/callback?code=hunter2&state=hunter2",
        "to hunter2@example.org",
    ],
)
def test_secrets_and_addresses_are_masked(text: str) -> None:
    assert "hunter2" not in masked(text)


def test_ids_of_ours_stay() -> None:
    text = "job job_0a1b of sub_2 in weekly:2026-11-16 failed: trial trl_9 has no dataset"
    assert masked(text) == text


#: What makes a pattern begin anew at each place and look at all the rest each time.
LONG = 1_000_000
HOSTILE = [
    "a" * LONG,
    "a." * (LONG // 2),
    "a" * LONG + "@" + "b" * LONG,
    "@a" * (LONG // 2),
    "a://" * (LONG // 4),
    "a://" + "b:" * (LONG // 2),
    "eyJ-" * (LONG // 4),
    "eyJa." * (LONG // 5),
    "x-amz-" * (LONG // 6),
    "token" + " " * LONG,
    "bearer" + "\t" * LONG,
    "SG.a" * (LONG // 4),
    "xoxb-" * (LONG // 5),
    "/r/" * (LONG // 3),
]


def test_no_text_takes_the_square_of_its_length() -> None:
    """A stranger writes the address of a request, and it is logged: a line of a megabyte is masked at once,
    and by a pattern that begins anew at each place in hours."""
    program = "import sys; from reporting_pipeline.operations.logs import masked; [*map(masked, sys.stdin)]"
    subprocess.run(
        [sys.executable, "-c", program],
        input="\n".join(HOSTILE).encode(),
        timeout=PATIENCE,
        check=True,
    )


@pytest.mark.parametrize(
    "text",
    [
        "told=mongodb://user:hunter2@db.example.org",
        "x-mongodb://user:hunter2@db.example.org",
        f"{'a' * 200}://user:hunter2@db.example.org",
        "eyJhbGciOi.hunter2",
        "a.b/hunter2@example.org",
        "x@hunter2@example.org",
    ],
)
def test_nothing_that_stands_before_a_secret_hides_it(text: str) -> None:
    assert "hunter2" not in masked(text)
