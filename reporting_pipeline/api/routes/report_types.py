"""What can be subscribed to."""

from __future__ import annotations

from fastapi import APIRouter

from reporting_pipeline.api.deps import may
from reporting_pipeline.api.models.base import READ
from reporting_pipeline.api.models.report_types import ReportTypeAnswer, ReportTypeList
from reporting_pipeline.domain.access import Action, ResourceKind
from reporting_pipeline.domain.subscriptions import Format
from reporting_pipeline.usecases.report_types import parameter_schema, report_types

router = APIRouter(prefix="/api", tags=["scheduled reports"])


@router.get("/report-types", responses=READ, dependencies=[may(Action.READ, ResourceKind.SUBSCRIPTION)])
def list_report_types() -> ReportTypeList:
    """The report types: the names that `report_type` takes, and what each holds."""
    return ReportTypeList(
        items=[
            ReportTypeAnswer(
                name=one.name,
                title=one.title,
                description=one.description,
                formats=list(Format),
                figures=[figure.value for figure in one.tiles],
                audiences=list(one.audiences),
                parameters=parameter_schema(one.name),
            )
            for one in report_types().values()
        ]
    )
