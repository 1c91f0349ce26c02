"""What somebody wrote when their session ended: it comes back in the answer, and is sent again by them.

Nothing of it is kept on the server, and nothing is done before somebody is signed in and sends it once more.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from reporting_pipeline.console.deployment import read_form
from reporting_pipeline.console.rendering import html
from reporting_pipeline.console.sessions import Visitor

_AS_FIELDS = "application/x-www-form-urlencoded"


def comes_from_here(request: Request) -> bool:
    """Whether the browser vouches for it that the form was sent from a page of this host.

    A page of another site could send a form as well; it must not come back with a token that is good.
    """
    return request.headers.get("sec-fetch-site") == "same-origin"


async def written_in(request: Request) -> list[tuple[str, str]] | None:
    """The fields of a form; None of one with a file, which a page cannot give back."""
    if request.headers.get("content-type", "").partition(";")[0].strip() != _AS_FIELDS:
        return None
    return (await read_form(request)).written()


def kept_page(request: Request, written: list[tuple[str, str]] | None, visitor: Visitor | None) -> Response:
    """The form again, to be sent by whoever is signed in; 403, for nothing was done."""
    query = f"?{request.url.query}" if request.url.query else ""
    return html("kept_form.html", 403, address=request.url.path + query, written=written, visitor=visitor)
