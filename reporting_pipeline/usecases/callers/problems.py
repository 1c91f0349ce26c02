"""Every refusal that somebody who asks can get: a stable word, a status, and the fields it is about.

`PROBLEMS` is the whole list: a word never changes its meaning, and docs/api.md repeats it. Nothing here
tells a caller about the inside: no stack trace, no query, no name of a server.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from reporting_pipeline.domain.plain_text import several_lines

#: slug -> (status, title)
PROBLEMS: Mapping[str, tuple[int, str]] = {
    "bad-request": (400, "The request is malformed"),
    "unauthenticated": (401, "A valid bearer token is needed"),
    "forbidden": (403, "Your role does not allow this"),
    "not-found": (404, "There is no such thing, or it is not yours to see"),
    "method-not-allowed": (405, "This address does not take that method"),
    "conflict": (409, "The state it is in does not allow this"),
    "duplicate-subscription": (409, "A subscription that asks for the same is active"),
    "edition-exists": (409, "This edition was opened already"),
    "illegal-transition": (409, "This change of state is not allowed"),
    "already-running": (409, "A job of this subscription is running"),
    "idempotency-key-reused": (409, "This idempotency key was used for another request"),
    "idempotency-in-progress": (409, "The first request with this idempotency key is still running"),
    "gone": (410, "This link has expired"),
    "precondition-failed": (412, "It was changed since you read it"),
    "body-too-large": (413, "The body is too large"),
    "unsupported-media-type": (415, "This address does not take that content type"),
    "validation": (422, "The request does not describe something valid"),
    "quota-exceeded": (429, "A quota is used up"),
    "rate-limited": (429, "Too many requests"),
    "internal": (500, "Something went wrong on our side"),
    "unavailable": (503, "A store that this needs does not answer"),
}


@dataclass(frozen=True)
class FieldError:
    """What is wrong with one field: a JSON pointer (RFC 6901) into the body, or where it came from."""

    pointer: str  # "#/schedule/time"; for others "query:limit", "header:If-Match", "path:id"
    detail: str

    def as_json(self) -> dict[str, str]:
        where, _, name = self.pointer.partition(":")
        if where in ("query", "header", "path"):
            return {"parameter": name, "in": where, "detail": self.detail}
        return {"pointer": self.pointer, "detail": self.detail}


class Problem(Exception):
    """An answer that is an error. `slug` is one of PROBLEMS; `more` are further members of the answer."""

    def __init__(
        self,
        slug: str,
        detail: str = "",
        errors: Sequence[FieldError] = (),
        headers: Mapping[str, str] | None = None,
        **more: Any,
    ) -> None:
        super().__init__(detail or slug)
        self.slug = slug
        self.status, self.title = PROBLEMS[slug]
        self.detail = detail
        self.errors = tuple(errors)
        self.headers = dict(headers or {})
        self.more = more


def invalid(pointer: str, detail: str) -> Problem:
    """A 422 about one field."""
    return Problem("validation", f"{pointer.rpartition('/')[2]}: {detail}", [FieldError(pointer, detail)])


def checked_lines(text: str, pointer: str) -> str:
    """A reason or description as it was written; a Problem (422) where it holds what nobody writes."""
    try:
        return several_lines(text)
    except ValueError as error:
        raise invalid(pointer, str(error)) from None


def not_found(what: str) -> Problem:
    """A 404; the same whether it does not exist or belongs to another organisation."""
    return Problem("not-found", f"There is no such {what}.")
