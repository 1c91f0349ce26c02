"""Requests to files. Bodies are shared: equal filters, data and period are laid out and drawn once.

`body_key` tells which requests share; callers that sort by it meet every body while it is kept.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from hashlib import sha256
from json import dumps
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import IO, Any

from pydantic import ValidationError

from reporting_pipeline.domain.datasets import TrialDataset
from reporting_pipeline.domain.disclosure import for_audience
from reporting_pipeline.domain.entitlements import Audience
from reporting_pipeline.domain.figures import figures_for, selects_trial, total
from reporting_pipeline.domain.omissions import Omission
from reporting_pipeline.domain.parameters import Parameters, problems_of
from reporting_pipeline.domain.subscriptions import Format
from reporting_pipeline.reports import csv, dataset_json, json, parquet, xlsx
from reporting_pipeline.reports.images import ThumbnailCache
from reporting_pipeline.reports.pdf.binding import Page, SharedBody, bind_body
from reporting_pipeline.reports.pdf.cover import number_pages, personal_parts, shared_cover
from reporting_pipeline.reports.pdf.layout import Flow
from reporting_pipeline.reports.request import RenderedReport, ReportError, ReportRequest
from reporting_pipeline.reports.sections import ReportContent, appendix
from reporting_pipeline.reports.types import report_type
from reporting_pipeline.reports.types.base import ReportType

#: Changes with anything that changes the bytes of a report for the same data.
LAYOUT_VERSION = "8"

_DISCLOSED_KEPT = 16

CONTENT_TYPES = {
    Format.PDF: "application/pdf",
    Format.CSV: "application/zip",
    Format.XLSX: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    Format.JSON: "application/json",
    Format.PARQUET: "application/zip",
    Format.DATASET_JSON: "application/zip",
}
_SUFFIX = {
    Format.PDF: "pdf",
    Format.CSV: "zip",
    Format.XLSX: "xlsx",
    Format.JSON: "json",
    Format.PARQUET: "parquet.zip",
    Format.DATASET_JSON: "dataset-json.zip",
}
_WRITERS: Mapping[Format, Callable[[ReportContent, ReportRequest, IO[bytes]], None]] = {
    Format.CSV: csv.write,
    Format.XLSX: xlsx.write,
    Format.JSON: json.write,
    Format.PARQUET: parquet.write,
    Format.DATASET_JSON: dataset_json.write,
}
#: A file up to so many bytes is kept in memory; a larger one lies on disk without a name.
KEPT_IN_MEMORY = 8 << 20
_READ_AT_ONCE = 1 << 20


@dataclass(frozen=True)
class _Body:
    """What is kept for the next request with the same key."""

    content: ReportContent
    pdf: SharedBody | None


class ReportRenderer:
    """Renders reports; keeps the last `bodies` shared bodies.

    `read_object(key)` fetches a thumbnail from the object store; thumbnails are kept in `cache_dir`.
    Not safe for use by several threads at once; processes each have their own.
    """

    def __init__(self, read_object: Callable[[str], bytes], cache_dir: Path, bodies: int = 32) -> None:
        self._thumbnails = ThumbnailCache(read_object, cache_dir)
        self._kept: OrderedDict[str, _Body] = OrderedDict()
        self._most = max(bodies, 1)
        self._shown: OrderedDict[tuple[int, Audience], tuple[TrialDataset, TrialDataset]] = OrderedDict()

    def body_key(self, request: ReportRequest) -> str:
        """Equal for requests that share a body; 32 hex characters."""
        subscription = request.subscription
        parts = {
            "layout": LAYOUT_VERSION,
            "code": request.code_version,
            "type": subscription.report_type,
            "parameters": subscription.parameters,
            "format": subscription.format.value,
            "organisation": request.organisation_name,
            "period": [request.period.cadence.value, request.period.key, request.period.timezone],
            "filters": subscription.filters.fingerprint(),
            "audience": request.audience.value,
            "policy": asdict(request.policy),
            "omissions": [[one.trial, one.part, one.reason] for one in _omitted_trials(request)],
            "trials": [_said(dataset) for dataset in _selected(request)],
            "statuses": [_said(status) for status in _selected_statuses(request)],
            "medians": request.medians,
        }
        return sha256(dumps(parts, sort_keys=True).encode()).hexdigest()[:32]

    def render(self, request: ReportRequest) -> RenderedReport:
        """The finished file. Raises ReportError when the request can never be rendered."""
        key = self.body_key(request)
        body = self._body(key, request)
        pages = 0
        file: bytes | IO[bytes]
        if body.pdf is not None:
            content, digest = body.pdf.bind(personal_parts(request, body.content.title))
            pages = body.pdf.pages
            file, size = content, len(content)
        else:
            file, size, digest = _written(body.content, request)
        kind = request.subscription.format
        return RenderedReport(
            body=file,
            size=size,
            sha256=digest,
            pages=pages,
            format=kind,
            content_type=CONTENT_TYPES[kind],
            file_name=file_name(request),
            data_as_of=body.content.data_as_of,
            body_id=key,
            omissions=body.content.omissions,
        )

    def _disclosed(self, dataset: TrialDataset, audience: Audience) -> TrialDataset:
        """One dataset for one audience, kept: many sets of filters ask for it one after the other."""
        place = (id(dataset), audience)
        if place not in self._shown:
            self._shown[place] = (dataset, for_audience(dataset, audience))
            while len(self._shown) > _DISCLOSED_KEPT:
                self._shown.popitem(last=False)
        return self._shown[place][1]

    def _body(self, key: str, request: ReportRequest) -> _Body:
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        content = content_of(request, self._thumbnails, self._disclosed)
        pdf = (
            bind_body(compose(content, request.subscription.report_type))
            if request.subscription.format is Format.PDF
            else None
        )
        body = self._kept[key] = _Body(content, pdf)
        while len(self._kept) > self._most:
            self._kept.popitem(last=False)
        return body


def _written(content: ReportContent, request: ReportRequest) -> tuple[bytes | IO[bytes], int, str]:
    """The bytes, or where they are many the open file; its size in bytes; its SHA-256 in hexadecimal."""
    file: IO[bytes] = SpooledTemporaryFile(KEPT_IN_MEMORY)  # noqa: SIM115 - goes with the report
    try:
        _WRITERS[request.subscription.format](content, request, file)
        size = file.tell()
        file.seek(0)
        if size <= KEPT_IN_MEMORY:
            with file:
                whole = file.read()
            return whole, size, sha256(whole).hexdigest()
        digest = sha256()
        while part := file.read(_READ_AT_ONCE):
            digest.update(part)
    except BaseException:
        file.close()
        raise
    return file, size, digest.hexdigest()


def content_of(
    request: ReportRequest,
    thumbnails: ThumbnailCache,
    disclosed: Callable[[TrialDataset, Audience], TrialDataset] = for_audience,
) -> ReportContent:
    """The shared content: the figures of every trial that the filters select, as its audience may see them.

    Everything that is drawn or written comes from here, so nothing that the audience must not see gets
    any further. Raises ReportError for parameters that the type does not take.
    """
    kind = report_type(request.subscription.report_type)
    if request.audience not in kind.audiences:
        raise ReportError(f"the report type {kind.name} is not for the audience {request.audience.value}")
    filters = request.subscription.filters
    selected = [disclosed(dataset, request.audience) for dataset in _selected(request)]
    statuses = {one.trial: disclosed(one, request.audience) for one in _selected_statuses(request)}
    trials = tuple(figures_for(dataset, filters) for dataset in selected)
    content = ReportContent(
        title=f"{request.period.cadence.value.capitalize()} {kind.title}",
        organisation=request.organisation_name,
        period=request.period,
        filters=filters,
        trials=trials,
        totals=total(trials),
        versions={dataset.trial: dataset.version for dataset in selected},
        data_as_of=_data_as_of(request, selected),
        code_version=request.code_version,
        thumbnail_path=thumbnails.path,
        omissions=(*_omitted_trials(request), *(one for trial in trials for one in trial.omissions)),
        audience=request.audience,
        report_type=kind.name,
        parameters=_parameters(kind, request.subscription.parameters),
        statuses=statuses,
        medians=request.medians,
    )
    return content if kind.tables is None else replace(content, own_tables=kind.tables(content))


def _parameters(kind: ReportType, given: Mapping[str, Any]) -> Parameters:
    try:
        return kind.parameters.model_validate(dict(given))
    except ValidationError as error:
        told = "; ".join(f"{path or 'options'}: {detail}" for path, detail in problems_of(error))
        raise ReportError(f"the parameters are none of {kind.name}: {told}") from None


def compose(content: ReportContent, type_name: str) -> list[Page]:
    """All pages of a body: cover, a part for each trial, appendix. Without documents: the cover alone."""
    kind = report_type(type_name)
    flow = Flow()
    shared_cover(flow, content, kind)
    if not content.is_empty or content.omissions or content.statuses:
        for trial in content.with_part:
            flow.new_page()
            for section in kind.sections:
                section(flow, trial, content)
        appendix(flow, content)
    number_pages(flow.pages, content)
    return flow.pages


def file_name(request: ReportRequest) -> str:
    """A name that every file system takes: subscription, period and suffix."""
    readable = re.sub(r"[^A-Za-z0-9]+", "-", request.subscription.name[:200]).strip("-").lower()[:60]
    suffix = _SUFFIX[request.subscription.format]
    return f"{readable or 'report'}-{request.period.key}.{suffix}"


def _selected(request: ReportRequest) -> list[TrialDataset]:
    filters = request.subscription.filters
    return sorted(
        (dataset for dataset in request.datasets if selects_trial(filters, dataset.trial)),
        key=lambda dataset: dataset.trial,
    )


def _selected_statuses(request: ReportRequest) -> list[TrialDataset]:
    filters = request.subscription.filters
    return sorted(
        (status for status in request.statuses if selects_trial(filters, status.trial)),
        key=lambda status: status.trial,
    )


def _said(dataset: TrialDataset) -> list[str]:
    return [dataset.trial, dataset.version, dataset.shown, dataset.data_as_of.isoformat()]


def _omitted_trials(request: ReportRequest) -> list[Omission]:
    """What the caller could not give a dataset of, of the trials that the filters select."""
    filters = request.subscription.filters
    return sorted({one for one in request.omissions if selects_trial(filters, one.trial)})


def _data_as_of(request: ReportRequest, datasets: list[TrialDataset]) -> datetime:
    return max((dataset.data_as_of for dataset in datasets), default=request.period.end_at)
