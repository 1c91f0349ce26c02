"""The parameters of report types as fields of a form: made from the types' own models, read back by them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from reporting_pipeline.console.forms import as_lines, named_lists
from reporting_pipeline.domain.parameters import Parameters
from reporting_pipeline.usecases.report_types import parameter_schema, report_types

_EVERY = "every"
POINTER = "#/report_parameters/options/"


@dataclass(frozen=True)
class Option:
    """One field: what it is called in the form, and what it takes."""

    key: str  # its name in the form
    report_type: str  # "" where every type takes it
    name: str  # its name among the parameters
    kind: str  # choice, truth, number, list, lists or text
    hint: str
    choices: tuple[tuple[str, str], ...] = ()  # value, words
    title: str = ""  # as the model has it

    @property
    def label(self) -> str:
        plain = self.name.replace("_", " ")
        return self.title if self.title.lower() != plain else plain.capitalize()


@lru_cache(maxsize=1)
def options() -> tuple[Option, ...]:
    """Every field of every type; what all types take stands once."""
    shared = set(Parameters.model_fields)
    found: dict[str, Option] = {}
    for report_type in report_types():
        for name, schema in parameter_schema(report_type)["properties"].items():
            own = "" if name in shared else report_type
            option = replace(_option(own, name, schema), title=str(schema.get("title", "")))
            found.setdefault(option.key, option)
    return tuple(found.values())


def blank() -> dict[str, str]:
    """The fields of a form in which nothing is said."""
    return {option.key: "" for option in options()}


def shown(report_type: str, parameters: Mapping[str, Any]) -> dict[str, str]:
    """The fields of the form from what a subscription keeps."""
    return {
        option.key: _written(parameters.get(option.name)) if option.report_type in ("", report_type) else ""
        for option in options()
    }


def read(report_type: str, values: Mapping[str, Any], errors: dict[str, str]) -> dict[str, Any]:
    """The parameters that the fields of a type say; what is left empty is left to the type.

    What cannot be read is put in `errors`; whether the type takes the rest is the type's question.
    """
    found: dict[str, Any] = {}
    for option in options():
        text = str(values.get(option.key) or "").strip()
        if not text or option.report_type not in ("", report_type):
            continue
        try:
            found[option.name] = _parsed(option, text)
        except ValueError as error:
            errors[option.key] = str(error)
    return found


def key_of(report_type: str, name: str) -> str | None:
    """The field of a type's parameter."""
    return next(
        (one.key for one in options() if one.name == name and one.report_type in ("", report_type)), None
    )


def label_of(key: str) -> str | None:
    """A field of these in words."""
    return next((one.label for one in options() if one.key == key), None)


def _option(report_type: str, name: str, schema: Mapping[str, Any]) -> Option:
    key = f"option_{report_type or _EVERY}_{name}"
    hint = str(schema.get("description", ""))
    forms = [one for one in schema.get("anyOf", [schema]) if one.get("type") != "null"]
    form = forms[0]
    if "enum" in form:
        default = schema.get("default")
        named = _choice_name(form, str(default)) if "x-enum-names" in form else _plain(str(default))
        told = schema.get("x-left-open") or (named if default else "")
        standing = f"Not chosen: {told}" if told else "Not chosen"
        choices = (("", standing), *((str(one), _choice_name(form, str(one))) for one in form["enum"]))
        return Option(key, report_type, name, "choice", hint, choices)
    if form.get("type") == "boolean":
        return Option(
            key, report_type, name, "truth", hint, (("", "Left open"), ("true", "Yes"), ("false", "No"))
        )
    kinds = {"integer": "number", "number": "number", "array": "list", "object": "lists"}
    kind = kinds.get(str(form.get("type")), "text")
    more = {
        "list": " With commas between them.",
        "lists": " One a line, such as “flag: HIGH, LOW”.",
    }
    return Option(key, report_type, name, kind, hint + more.get(kind, ""))


def _choice_name(form: Mapping[str, Any], value: str) -> str:
    """As the schema names it (`x-enum-names`), or the value in words."""
    named = str(form.get("x-enum-names", {}).get(value, _plain(value)))
    return named[:1].upper() + named[1:]


def _plain(word: str) -> str:
    return word.replace("_", " ")


def _parsed(option: Option, text: str) -> Any:
    if option.kind == "truth":
        if text not in ("true", "false"):
            raise ValueError("choose yes, no, or leave it open")
        return text == "true"
    if option.kind == "number":
        try:
            return int(text)
        except ValueError:
            raise ValueError(f"a whole number, not {text[:40]!r}") from None
    if option.kind == "list":
        return [part.strip() for part in text.split(",") if part.strip()]
    if option.kind == "lists":
        return {name: list(values) for name, values in named_lists(text).items()}
    return text


def _written(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return as_lines(value.items())
    if isinstance(value, list | tuple):
        return ", ".join(str(one) for one in value)
    return str(value)
