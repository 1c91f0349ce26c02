"""Headers as RFC 2047 and 2231 have them: short encoded words, whole names of files, whole addresses."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email import message_from_bytes
from email.policy import default

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reporting_pipeline.delivery.channels.mime import to_bytes
from reporting_pipeline.delivery.message import LONGEST_SUBJECT, Attachment, Message, one_line
from reporting_pipeline.settings import Settings

UNSUBSCRIBE = "https://reports.example.org/unsubscribe/" + "a" * 180
ENCODED = re.compile(rb"=\?[^?\s]+\?[bqBQ]\?[^?\s]*\?=")
SCRIPTS = (
    "Wöchentlicher Sicherheitsbericht der Studie über Blutdruck und Körpergewicht, Prüfzentrum Köln",
    "每周安全报告：临床试验的实验室结果、不良事件与生命体征，第四十七周，北京协和医院研究中心" * 2,
    "รายงานความปลอดภัยประจำสัปดาห์ของการทดลองทางคลินิก",
    "تقرير السلامة الأسبوعي للتجربة السريرية والأحداث الضارة والنتائج المخبرية",
    "주간 안전성 보고서 — 임상시험 검사 결과와 이상반응",
    "🩺🧪📈 " * 30,
    "plain ascii that is longer than seventy eight characters, and then some more words to be folded",
)


def written(settings: Settings, subject: str, file_name: str = "report.pdf") -> bytes:
    at = datetime(2026, 11, 23, tzinfo=UTC)
    message = Message(
        delivery="dlv_" + "0" * 24,
        wire_id="dlv_" + "0" * 24,
        message_id=f"<dlv_{'0' * 24}@example.org>",
        recipient="reader@example.org",
        organisation="default",
        subject=subject,
        shared_text="text",
        shared_html="<p>text</p>",
        link="",
        unsubscribe=UNSUBSCRIBE,
        written_at=at,
        attachment=Attachment(file_name, "application/pdf", b"%PDF"),
    )
    return to_bytes(message, settings)


def check(settings: Settings, subject: str) -> None:
    raw = written(settings, subject)
    head = raw.partition(b"\r\n\r\n")[0]
    assert max(map(len, ENCODED.findall(head)), default=0) <= 75
    lines = [line for line in head.split(b"\r\n") if UNSUBSCRIBE.encode() not in line]
    assert max(map(len, lines)) <= 78
    assert f"List-Unsubscribe: <{UNSUBSCRIBE}>".encode() in head
    assert message_from_bytes(raw, policy=default)["Subject"] == subject


@pytest.mark.parametrize("subject", SCRIPTS)
def test_encoded_words_are_short_in_every_script(settings: Settings, subject: str) -> None:
    check(settings, one_line(subject, LONGEST_SUBJECT))


@given(st.text(max_size=LONGEST_SUBJECT))
def test_any_subject_arrives_as_it_was(text: str) -> None:
    check(Settings(), one_line(text, LONGEST_SUBJECT))


def test_a_file_keeps_its_name(settings: Settings) -> None:
    raw = written(settings, "x", "Prüfbericht – 检查.pdf")
    assert b"filename*" in raw
    names = [part.get_filename() for part in message_from_bytes(raw, policy=default).walk()]
    assert "Prüfbericht – 检查.pdf" in names
