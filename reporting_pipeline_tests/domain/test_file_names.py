"""Names of files: every script kept, nothing that a system or a header obeys."""

from __future__ import annotations

from email.message import Message
from email.utils import collapse_rfc2231_value

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reporting_pipeline.domain.file_names import LONGEST_NAME, content_disposition, shown_file_name


def read(header: str) -> str:
    message = Message()
    message["Content-Disposition"] = header
    named = message.get_param("filename", header="content-disposition")
    assert named is not None
    return collapse_rfc2231_value(named)


@pytest.mark.parametrize(
    ("given_name", "shown"),
    [
        ("Prüfbericht – 检查.pdf", "Prüfbericht – 检查.pdf"),
        ("../../etc/passwd", "_.._etc_passwd"),
        ("a\r\nSet-Cookie: x.pdf", "aSet-Cookie_ x.pdf"),
        ('a"b.pdf', "a_b.pdf"),
        ("cod\u202efdp.exe", "codfdp.exe"),
        ("\u200b\u200b", "file"),
        ("", "file"),
        ("x" * 400 + ".pdf", "x" * (LONGEST_NAME - 4) + ".pdf"),
    ],
)
def test_a_name_as_it_is_shown(given_name: str, shown: str) -> None:
    assert shown_file_name(given_name) == shown


@given(st.text(max_size=300))
def test_any_name_comes_through_the_header_whole(name: str) -> None:
    header = content_disposition(name)
    assert header.isascii()
    assert header.isprintable()
    plain, _, whole = header.partition("; filename*=")
    assert plain.startswith('attachment; filename="')
    assert plain.count('"') == 2
    shown = read(f"attachment; filename*={whole}") if whole else read(plain)
    assert shown == shown_file_name(name)
