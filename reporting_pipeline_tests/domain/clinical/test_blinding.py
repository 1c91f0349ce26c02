"""What tells who gets the treatment: it says so itself, and in doubt it is taken for telling."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest

from reporting_pipeline.domain.clinical.blinding import is_unblinding, visit_is_unblinding

Asked = Callable[[Mapping[str, object]], bool]


@pytest.mark.parametrize("said", ["Y", True, 1, "perhaps", "UNKNOWN", "see note"])
@pytest.mark.parametrize(
    ("asked", "name"), [(visit_is_unblinding, "visit_unblinding"), (is_unblinding, "unblinding")]
)
def test_what_says_so_or_leaves_it_in_doubt_tells(asked: Asked, name: str, said: object) -> None:
    assert asked({"visit": "WEEK 8", "test": "Sodium", name: said})


@pytest.mark.parametrize("said", ["N", False, 0, "", None])
@pytest.mark.parametrize(
    ("asked", "name"), [(visit_is_unblinding, "visit_unblinding"), (is_unblinding, "unblinding")]
)
def test_no_and_no_answer_tell_nothing_of_plain_words(asked: Asked, name: str, said: object) -> None:
    assert not asked({"visit": "WEEK 8", "test": "Sodium", name: said})


def test_no_does_not_take_back_what_the_words_tell() -> None:
    assert visit_is_unblinding({"visit": "ARM B DAY 1", "visit_unblinding": "N"})
    assert is_unblinding({"test": "Lithium", "domain": "PC", "unblinding": "N"})
