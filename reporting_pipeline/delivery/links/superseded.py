"""The pages behind a link of a mail that does not simply open: its report was made again, or it is over."""

from __future__ import annotations

from reporting_pipeline.delivery.links.report_links import Superseded
from reporting_pipeline.delivery.message import one_line, templates
from reporting_pipeline.settings import Settings


def superseded_page(settings: Settings, newer: Superseded) -> str:
    """HTML. Its links lead to the same token, so it says nothing that the token does not open."""
    return (
        templates()
        .get_template("superseded.html.j2")
        .render(brand=one_line(settings.email_from_name, 60), newer=newer)
    )


def gone_page(settings: Settings) -> str:
    """HTML. One page for whatever is wrong with a link."""
    return templates().get_template("gone.html.j2").render(brand=one_line(settings.email_from_name, 60))
