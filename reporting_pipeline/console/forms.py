"""What stands in a form as typed, what is wrong with it by field, and which version of a record it shows."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, ClassVar

from pydantic import ValidationError

from reporting_pipeline.domain.wrong_values import words_of
from reporting_pipeline.usecases.callers.problems import Problem

#: Parts of a body whose own fields are fields of the form.
_WRAPPERS = frozenset({"report_parameters", "schedule_config"})


@dataclass
class Entries:
    """The values of a form's fields (texts, and tuples of them), and errors by field."""

    #: What a form calls its fields, where that is more than their names say (console/field_labels.py).
    labels: ClassVar[Mapping[str, str]] = {}

    values: dict[str, Any]
    errors: dict[str, str] = field(default_factory=dict)

    @property
    def mark(self) -> str:
        """Equal for equal values: a form carries that of the record it shows, and is held against it."""
        return sha256(json.dumps(self.values, sort_keys=True, default=list).encode()).hexdigest()[:32]

    def differing(self, standing: Entries) -> list[tuple[str, str, str]]:
        """(field, what stands now, what is in this form) where the two differ."""
        return [
            (self.label(name), self.said(name, standing.values[name]), self.said(name, value))
            for name, value in self.values.items()
            if name in standing.values and value != standing.values[name]
        ]

    def label(self, name: str) -> str:
        """A field in words."""
        if name in self.labels:
            return self.labels[name]
        return name.replace("_", " ").capitalize()

    def said(self, name: str, value: object) -> str:
        """What stands in a field, in words."""
        told = value if isinstance(value, str) else ", ".join(str(one) for one in value)  # type: ignore[attr-defined]
        return told or "nothing"

    def attempt(self, deed: Callable[[], object]) -> int:
        """Do what the form asks for. 200, or the status of what refused it, said beside the fields."""
        try:
            deed()
        except ValidationError as error:
            self.refuse_invalid(error)
            return 422
        except Problem as problem:
            self.refuse(problem)
            return problem.status
        return 200

    def refuse(self, problem: Problem) -> None:
        """Put a problem's findings beside the fields they are about."""
        for one in problem.errors:
            self.wrong(self.field_of(one.pointer), one.detail)
        if not problem.errors and not self.errors:
            self.errors["form"] = problem.detail or problem.title

    def refuse_invalid(self, error: ValidationError) -> None:
        """The same of a model that does not take the values."""
        for one in error.errors(include_url=False, include_input=False):
            pointer = "#/" + "/".join(str(part) for part in one["loc"])
            self.wrong(self.field_of(pointer), words_of(one))

    def wrong(self, name: str, words: str) -> None:
        """Say what is wrong with a field, the first finding of each; its label says the name already."""
        self.errors.setdefault(name, words.removeprefix(f"{name} "))

    def field_of(self, pointer: str) -> str:
        """The field that a JSON pointer is about; "form" for none of ours."""
        parts = [part for part in pointer.removeprefix("#").split("/") if part]
        if len(parts) > 1 and parts[0] in _WRAPPERS:
            parts = parts[1:]
        return parts[0] if parts and parts[0] in self.values else "form"


def reason_of(problem: Problem) -> str:
    """Why it was refused, where no field stands beside it: in words alone, without pointers into a body."""
    return "; ".join(one.detail for one in problem.errors) or problem.detail or problem.title


def number(text: str) -> int | str:
    """A field's whole number; what is none stays as it was typed, to be refused in words."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else text


def lines_of(text: str) -> list[str]:
    """One entry a line, without the empty ones."""
    return [line.strip() for line in text.splitlines() if line.strip()]


def named_lists(text: str) -> dict[str, tuple[str, ...]]:
    """ "T1: 701, 702" a line -> {T1: (701, 702)}. Raises ValueError that quotes the line."""
    found: dict[str, tuple[str, ...]] = {}
    for line in lines_of(text):
        name, separator, listed = line.partition(":")
        values = tuple(part.strip() for part in listed.split(",") if part.strip())
        if not separator or not name.strip() or not values:
            raise ValueError(f"write a name, a colon and values with commas between them, not {line[:80]!r}")
        if name.strip() in found:
            raise ValueError(f"{name.strip()[:80]!r} stands twice")
        found[name.strip()] = values
    return found


def as_lines(lists: Iterable[tuple[str, Iterable[str]]]) -> str:
    """`named_lists` the other way."""
    return "\n".join(f"{name}: {', '.join(values)}" for name, values in lists)
