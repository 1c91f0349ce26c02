"""Every language says every sentence, with the same placeholders; dates and numbers are its own."""

from __future__ import annotations

import string
from datetime import UTC, date, datetime
from functools import lru_cache
from pathlib import Path

import pytest
import textstat
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po

import reporting_pipeline
from reporting_pipeline.languages import (
    FOLDER,
    Words,
    checked_language,
    known_languages,
    name_of,
    words_of,
)

TRANSLATED = [language for language in known_languages() if language != "en"]


@lru_cache(maxsize=1)
def sentences() -> frozenset[str]:
    """What the source says: `say("...")` and `N_("...")` in modules and templates."""
    found = extract_from_dir(
        str(Path(reporting_pipeline.__file__).parent),
        method_map=[("**.py", "python"), ("**.j2", "jinja2.ext:babel_extract")],
        keywords={"say": None, "N_": None},
        comment_tags=(),
    )
    return frozenset(message for _, _, message, _, _ in found if isinstance(message, str))


def placeholders(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


def test_the_four_languages_are_there() -> None:
    assert {"en", "de", "fr", "es"} <= set(known_languages())
    assert {"Your visits", "Open the report"} <= sentences()
    assert [name_of(language) for language in ("de", "es")] == ["Deutsch", "español"]


@pytest.mark.parametrize("language", TRANSLATED)
def test_a_catalogue_is_complete_and_has_nothing_else(language: str) -> None:
    with (FOLDER / f"{language}.po").open("rb") as file:
        catalogue = {one.id: one for one in read_po(file) if one.id}
    assert set(catalogue) == sentences()
    assert [one.id for one in catalogue.values() if not one.string or one.fuzzy] == []
    assert [
        one.id for one in catalogue.values() if placeholders(str(one.string)) != placeholders(str(one.id))
    ] == []


def test_a_language_is_added_by_a_file(tmp_path: Path) -> None:
    (tmp_path / "it.po").write_text(
        'msgid ""\nmsgstr "Content-Type: text/plain; charset=utf-8\\n"\n\n'
        'msgid "Page {number} of {count}"\nmsgstr "Pagina {number} di {count}"\n'
    )
    assert known_languages(tmp_path) == ("en", "it")
    say = Words("it", tmp_path)
    assert say("Page {number} of {count}", number=1, count=2) == "Pagina 1 di 2"
    assert say("Your visits") == "Your visits", "what it does not have is said in English"
    assert say.day(date(2026, 11, 7)) == "7 novembre 2026"


@pytest.mark.parametrize("language", ["xx", "../de", "", "DE"])
def test_an_unknown_language_is_refused_by_name(language: str) -> None:
    with pytest.raises(ValueError, match="known are en"):
        checked_language(language)


def test_dates_and_numbers_are_the_languages_own() -> None:
    assert [words_of(one).day(date(2026, 3, 7)) for one in ("en", "de", "fr", "es")] == [
        "7 March 2026",
        "7. März 2026",
        "7 mars 2026",
        "7 de marzo de 2026",
    ]
    german = words_of("de")
    assert german.collected("2026-03-07T09:30") == "7. März 2026"
    assert german.collected("2026-03") == "März 2026"
    assert german.moment(datetime(2026, 3, 7, 23, 5, tzinfo=UTC), "Europe/Berlin") == "8. März 2026, 00:05"
    assert (german.number("5.0"), german.number("<0.5"), german.number("-3")) == ("5,0", "<0,5", "−3")
    assert german.count(12345) == "12.345"


@pytest.mark.parametrize(
    "odd", ["2026", "2026-13", "2026-02-31", "2026-03-01/2026-03-09", "--03", "yesterday", ""]
)
def test_what_is_no_date_is_shown_as_it_came(odd: str) -> None:
    assert words_of("de").collected(odd) == odd


@pytest.mark.parametrize("odd", ["POSITIVE", "1e5", "5,0", "٥", "<", "5.0.1", "{x}"])
def test_what_is_no_number_is_shown_as_it_came(odd: str) -> None:
    assert words_of("fr").number(odd) == odd


def test_values_are_put_in_as_they_are() -> None:
    assert words_of("de")("from {low}", low="{high} {0}") == "ab {high} {0}"


def test_a_child_of_eleven_can_read_it() -> None:
    """Sentences of the participant alone; titles of columns are no sentences."""
    text = {
        language: " ".join(
            words_of(language)(one)
            for one in sorted(sentences())
            if one.endswith((".", "?")) and "{" not in one and not one.isupper()
        )
        for language in ("en", "de", "fr", "es")
    }
    textstat.set_lang("en")
    assert textstat.flesch_kincaid_grade(text["en"]) <= 6.0, "grade 6 is eleven to twelve years"
    textstat.set_lang("de")
    assert textstat.wiener_sachtextformel(text["de"], 1) <= 6.0, "grade of school"
    textstat.set_lang("fr")
    assert textstat.flesch_reading_ease(text["fr"]) >= 70, "easy"
    textstat.set_lang("es")
    assert textstat.fernandez_huerta(text["es"]) >= 80, "easy"
    textstat.set_lang("en")
    hard = (
        "Participants experiencing hepatotoxicity necessitate discontinuation of investigational medication."
    )
    assert textstat.flesch_kincaid_grade(hard) > 12
