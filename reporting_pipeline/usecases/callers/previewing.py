"""What a draft would have given last time, for who asks alone: one way for the API and the console."""

from __future__ import annotations

from reporting_pipeline.domain.access import Action, Resource, ResourceKind, User
from reporting_pipeline.domain.subscriptions import Format, Recipient
from reporting_pipeline.usecases.callers.context import Context, asked_again, require
from reporting_pipeline.usecases.callers.subscribing import (
    Draft,
    Pointers,
    check,
    check_report_type,
    subscription_of,
)
from reporting_pipeline.usecases.preview import PreviewedReport, preview_report


def preview_draft(
    deployment: Context,
    caller: User,
    draft: Draft,
    form: Format,
    pointers: Pointers,
    *,
    preliminary: bool = False,
) -> PreviewedReport:
    """Render `draft` in `form` for `caller`, from the newest closed period, or (`preliminary`) from the one
    that is still open. Nothing is kept.

    Refused (422) as it would be when it is saved. Raises NothingToShow where no data stands.
    """
    require(
        caller,
        Action.CREATE,
        Resource(ResourceKind.SUBSCRIPTION, caller.organisation, owner=caller.id),
        "user",
    )
    parameters = check_report_type(draft.report_type, draft.parameters, caller)
    check(deployment, caller, caller, draft.filters, draft.recipients, pointers)
    now = deployment.now
    asked = subscription_of(draft, caller, parameters, caller.id, now)
    to = draft.recipients or (Recipient(type="user", value=caller.id),)
    shown = asked.model_copy(update={"format": form, "recipients": to})
    settings = deployment.settings
    cache = settings.home / "cache" / "thumbnails"
    made = preview_report(
        deployment.database,
        deployment.objects,
        shown,
        caller,
        now,
        settings.timezone,
        cache,
        preliminary=preliminary,
        sent_as=draft.format,
    )
    asked_again(deployment, caller, "the report was made")
    return made
