"""A name is something that a person sees."""

from __future__ import annotations

import pytest

from reporting_pipeline.usecases.callers.shapes.base import one_line


@pytest.mark.parametrize("name", ["", "  ", "\u200b\u200b", "\u2060 \ufeff", "\u200e\u00ad"])
def test_a_name_that_nobody_sees_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="must not be empty"):
        one_line(name)


@pytest.mark.parametrize("name", ["검사", "—", "👩\u200d⚕️", " a "])
def test_a_name_of_any_script_is_kept(name: str) -> None:
    assert one_line(name) == name.strip()
