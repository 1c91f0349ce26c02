"""A name is something that a person sees, and no text of a body holds what nobody writes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, get_args

import pytest
from fastapi.routing import APIRoute
from pydantic import BaseModel, TypeAdapter, ValidationError

from reporting_pipeline.api.routes import ROUTERS
from reporting_pipeline.domain.plain_text import one_line, several_lines


@pytest.mark.parametrize("name", ["", "  ", "\u200b\u200b", "\u2060 \ufeff", "\u200e\u00ad"])
def test_a_name_that_nobody_sees_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="must not be empty"):
        one_line(name)


@pytest.mark.parametrize("name", ["검사", "—", "👩\u200d⚕️", " a "])
def test_a_name_of_any_script_is_kept(name: str) -> None:
    assert one_line(name) == name.strip()


HOSTILE = ("a\0b", "a\x1b[31mb", "a\x85b", "a\u202eb", "a\u2066b", "a\u2028b", "a\U000e0041b")


@pytest.mark.parametrize("text", HOSTILE)
def test_what_nobody_writes_is_refused_in_one_line_and_in_several(text: str) -> None:
    for rule in (one_line, several_lines):
        with pytest.raises(ValueError, match=r"^no "):
            rule(text)
    with pytest.raises(ValueError, match=r"^no line breaks"):
        one_line("a\nb")


@pytest.mark.parametrize("text", ["", "One.\n\nTwo:\tthree", "👩\u200d⚕️", "عربي\u200f و English"])
def test_several_lines_are_kept_as_they_are(text: str) -> None:
    assert several_lines(text) == text


#: Read by a rule of their own before anything is stored, below the shapes.
READ_BY_A_RULE = {
    *("time", "timezone", "cron_expression", "holidays", "language", "report_colour"),
    *("value", "email", "recipient", "allowed_domains", "allowed_hosts"),
    "image",  # base64 of a picture
    *("description", "reason"),  # `problems.checked_lines`: the console has them, too
}
#: Data of a trial, kept as it was sent.
OF_THE_TRIAL = {"id", "trial", "site", "subject", "title", "collected", "note", "data"}


def bodies(annotation: Any, seen: set[type[BaseModel]]) -> Iterator[type[BaseModel]]:
    """The models of a body, those within it too."""
    for part in get_args(annotation):
        yield from bodies(part, seen)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel) and annotation not in seen:
        seen.add(annotation)
        yield annotation
        for each in annotation.model_fields.values():
            yield from bodies(each.annotation, seen)


def takes(annotation: Any, text: str) -> bool:
    """Whether a field takes a text as it is, in a list, or in an object."""
    for value in (text, [text], {text: text}, {"x": [text]}):
        try:
            TypeAdapter(annotation).validate_python(value)
        except ValidationError:
            continue
        return True
    return False


def test_each_text_of_a_body_is_held_to_a_rule() -> None:
    """A new field of a body is a name, several lines, or stands above with its reason."""
    seen: set[type[BaseModel]] = set()
    routes = [one for router in ROUTERS for one in router.routes if isinstance(one, APIRoute)]
    models = [
        model
        for route in routes
        if route.body_field is not None
        for model in bodies(route.body_field.field_info.annotation, seen)
    ]
    assert len(models) > 20
    loose = []
    for model in models:
        documents = model.__name__ == "SubmittedDocument" or "create_document" in model.__name__
        excused = READ_BY_A_RULE | (OF_THE_TRIAL if documents else set())
        for name, each in model.model_fields.items():
            annotation = Annotated[each.annotation, *each.metadata] if each.metadata else each.annotation
            if name not in excused and any(takes(annotation, text) for text in HOSTILE):
                loose.append(f"{model.__name__}.{name}")
    assert loose == []
