"""An organisation's words in mails are one line of plain text each; what is not is refused by name."""

from __future__ import annotations

import pytest

from reporting_pipeline.domain.mail_words import NO_WORDS, MailWords, checked_words


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("Hello\r\nBcc: a@example.org", "one line"),
        ("Hello\u2028there", "one line"),
        ("abc\u202edef", "cannot be seen"),
        ("zero\u200bwidth", "cannot be seen"),
        ("a\tb", "one line"),
        ("<b>Hello</b>", "plain words"),
        ("a > b", "plain words"),
        ("=?utf-8?q?=0d=0aBcc:_a@b.org?=", "leave out"),
    ],
)
def test_what_is_no_line_of_plain_text_is_refused_and_never_used(text: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        checked_words(text)
    by_hand = {"mail_subject_prefix": text, "mail_greeting": text, "mail_footer": text}
    assert MailWords.of(by_hand) == NO_WORDS


@pytest.mark.parametrize("text", ["", "Grüße aus Genève", "臨床試験", "Questions & answers: a@b.org {x} %s"])
def test_plain_words_of_any_script_are_kept(text: str) -> None:
    assert checked_words(f" {text} ") == text
    assert MailWords.of({"mail_greeting": text}).greeting == text


@pytest.mark.parametrize("odd", [None, 7, ["a"], {"a": 1}, "x" * 201])
def test_what_somebody_broke_by_hand_counts_as_none(odd: object) -> None:
    by_hand = {"mail_subject_prefix": odd, "mail_greeting": odd, "mail_footer": odd}
    assert MailWords.of(by_hand) == NO_WORDS
