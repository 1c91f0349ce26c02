"""Requests to files. Bodies are shared: equal filters, data and period are laid out and drawn once.

`body_key` tells which requests share; callers that sort by it meet every body while it is kept.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
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
from reporting_pipeline.domain.figures import TrialFigures, figures_for, selects_trial, total
from reporting_pipeline.domain.omissions import Omission
from reporting_pipeline.domain.parameters import Parameters, language_of, problems_of
from reporting_pipeline.domain.restatements import FigureChange, figure_changes, shows_the_same
from reporting_pipeline.domain.status_filters import of_kinds
from reporting_pipeline.domain.subscriptions import Format, Subscription
from reporting_pipeline.languages import words_of
from reporting_pipeline.reports import csv, dataset_json, json, parquet, xlsx
from reporting_pipeline.reports.blocks import Flow
from reporting_pipeline.reports.content import ReportContent
from reporting_pipeline.reports.cover import letterhead_of, shared_cover
from reporting_pipeline.reports.html.document import HtmlBody, body_of, personal_head, whole_document
from reporting_pipeline.reports.html.flow import HtmlFlow
from reporting_pipeline.reports.images import ThumbnailCache
from reporting_pipeline.reports.pdf.binding import SharedBody, bind_body
from reporting_pipeline.reports.pdf.cover import number_pages, personal_parts
from reporting_pipeline.reports.pdf.layout import PageFlow
from reporting_pipeline.reports.request import RenderedReport, ReportError, ReportRequest
from reporting_pipeline.reports.restating import what_changed
from reporting_pipeline.reports.rows import RowTable
from reporting_pipeline.reports.sections import appendix
from reporting_pipeline.reports.types import REPORT_TYPES, report_type
from reporting_pipeline.reports.types.base import ReportType

#: Changes with anything that changes the bytes of a report for the same data.
LAYOUT_VERSION = "31"

_DISCLOSED_KEPT = 16

Writer = Callable[[ReportContent, ReportRequest, IO[bytes]], None]


@dataclass(frozen=True)
class FileKind:
    """What one format is to those that write and send it."""

    content_type: str
    suffix: str
    write: Writer | None = None  # None: laid out for reading, by `_drawn`
    in_batches: bool = False  # takes the rows of a table in batches; a workbook, where they are many

    @property
    def laid_out(self) -> bool:
        """Of very many rows it shows the first."""
        return self.write is None


FILE_KINDS: Mapping[Format, FileKind] = {
    Format.PDF: FileKind("application/pdf", "pdf"),
    Format.HTML: FileKind("text/html; charset=utf-8", "html"),
    Format.CSV: FileKind("application/zip", "zip", csv.write, in_batches=True),
    Format.XLSX: FileKind(
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        "xlsx",
        xlsx.write,
        in_batches=True,
    ),
    Format.JSON: FileKind("application/json", "json", json.write),
    Format.PARQUET: FileKind("application/zip", "parquet.zip", parquet.write, in_batches=True),
    Format.DATASET_JSON: FileKind("application/zip", "dataset-json.zip", dataset_json.write, in_batches=True),
}
#: A file up to so many bytes is kept in memory; a larger one lies on disk without a name.
KEPT_IN_MEMORY = 8 << 20
_READ_AT_ONCE = 1 << 20


@dataclass(frozen=True)
class _Body:
    """What is kept for the next request with the same key."""

    content: ReportContent
    drawn: SharedBody | HtmlBody | None  # of the formats that are laid out for reading


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
            "progress": {trial: one.said() for trial, one in request.progress.items()},
            "restates": _restated_said(request),
            "preliminary": request.preliminary_at.isoformat() if request.preliminary_at else "",
            "traced": bool(request.console_url),
            "branding": request.branding.said(),
        }
        return sha256(dumps(parts, sort_keys=True).encode()).hexdigest()[:32]

    def render(self, request: ReportRequest) -> RenderedReport:
        """The finished file. Raises ReportError when the request can never be rendered."""
        key = self.body_key(request)
        body = self._body(key, request)
        pages = 0
        file: bytes | IO[bytes]
        if isinstance(body.drawn, SharedBody):
            file, digest = body.drawn.bind(personal_parts(request, body.content))
            pages, size = body.drawn.pages, len(file)
        elif body.drawn is not None:
            file = whole_document(body.drawn, personal_head(request, body.content))
            size, digest = len(file), sha256(file).hexdigest()
        else:
            file, size, digest = _written(body.content, request)
        kind = request.subscription.format
        return RenderedReport(
            body=file,
            size=size,
            sha256=digest,
            pages=pages,
            format=kind,
            content_type=FILE_KINDS[kind].content_type,
            file_name=file_name(request),
            data_as_of=body.content.data_as_of,
            body_id=key,
            omissions=body.content.omissions,
        )

    def refuse_too_many_rows(self, request: ReportRequest) -> None:
        """Raise ReportError where the report would be refused for its rows; none is written."""
        if FILE_KINDS[request.subscription.format].laid_out:
            return
        content = content_of(request, self._thumbnails, self._disclosed)
        if request.subscription.format is Format.JSON:
            json.refuse_too_many_rows(content, request)
        else:
            csv.row_tables(content, request)

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
        body = self._kept[key] = _Body(content, _drawn(content, request.subscription))
        while len(self._kept) > self._most:
            self._kept.popitem(last=False)
        return body


def _drawn(content: ReportContent, subscription: Subscription) -> SharedBody | HtmlBody | None:
    """What all readers of one body share of a file that is laid out for reading."""
    if subscription.format is Format.PDF:
        pages = PageFlow(letterhead_of(content))
        compose(pages, content, subscription.report_type)
        number_pages(pages.pages, content)
        return bind_body(pages.pages, pages.structure, content.language)
    if subscription.format is Format.HTML:
        document = HtmlFlow(words_of(content.language), letterhead_of(content))
        compose(document, content, subscription.report_type)
        return body_of(document, content)
    return None


def _written(content: ReportContent, request: ReportRequest) -> tuple[bytes | IO[bytes], int, str]:
    """The bytes, or where they are many the open file; its size in bytes; its SHA-256 in hexadecimal."""
    write = FILE_KINDS[request.subscription.format].write
    if write is None:
        raise ReportError(f"nothing lays out the format {request.subscription.format.value}")
    file: IO[bytes] = SpooledTemporaryFile(KEPT_IN_MEMORY)  # noqa: SIM115 - goes with the report
    try:
        write(content, request, file)
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
    if kind.one_person:
        _refuse_others(request)
    parameters = _parameters(kind, request.subscription.parameters)
    language = language_of(parameters)
    filters = request.subscription.filters
    selected = [disclosed(dataset, request.audience) for dataset in _selected(request)]
    statuses = {one.trial: disclosed(one, request.audience) for one in _selected_statuses(request)}
    # Files of rows alone have no figures where the rows are too many for memory.
    counts = not FILE_KINDS[request.subscription.format].in_batches or request.restates is not None
    trials = tuple(figures_for(dataset, filters, all_results=counts) for dataset in selected)
    content = ReportContent(
        title=(
            words_of(language)(kind.title)
            if kind.compose
            else f"{request.period.cadence.value.capitalize()} {kind.title}"
        ),
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
        parameters=parameters,
        statuses=statuses,
        medians=request.medians,
        progress=request.progress,
        new_documents={dataset.trial: _new_documents(dataset) for dataset in selected},
        language=language,
        plain=kind.compose is not None,
        restates=request.restates,
        changes=tuple(_changes(request, trials, disclosed)),
        preliminary_at=request.preliminary_at,
        traced=bool(request.console_url),
        branding=request.branding,
    )
    form = request.subscription.format
    rows = _in_batches(kind, content, form)
    return replace(
        content,
        own_tables=kind.tables(content)
        if kind.tables and rows is None and not FILE_KINDS[form].laid_out
        else None,
        own_rows=rows,
        more_tables={} if kind.more_tables is None else kind.more_tables(content),
    )


def _in_batches(kind: ReportType, content: ReportContent, form: Format) -> tuple[RowTable, ...] | None:
    """A type's own tables in batches, where it gives them so and the format is written so, or must be."""
    deferred = any(trial.deferred for trial in content.trials)
    file = FILE_KINDS[form]
    if kind.row_tables is None or file.laid_out or not (deferred or file.in_batches):
        return None
    tables = tuple(kind.row_tables(content))
    if deferred:
        return tables
    few = form is Format.XLSX and sum(table.rows for table in tables) <= xlsx.FEW_ROWS
    return None if few else tables


def deferrable_tables(subscription: Subscription) -> frozenset[str]:
    """The tables of a dataset that its report reads in batches, and that need not be in memory for it."""
    kind = REPORT_TYPES.get(subscription.report_type)
    if kind is None or kind.deferrable is None:
        return frozenset()
    try:
        return kind.deferrable(_parameters(kind, subscription.parameters))
    except ReportError:  # told when it is rendered
        return frozenset()


def _refuse_others(request: ReportRequest) -> None:
    """A report on one person's own record is not made from anybody else's."""
    people = {
        subject
        for dataset in (*_selected(request), *_selected_statuses(request))
        for subject in dataset.tables["documents"]["subject"]
        if subject
    }
    if len(people) > 1:
        name = request.subscription.report_type
        raise ReportError(f"{name} is on one person's own record; this data is of {len(people)} people")


def _new_documents(dataset: TrialDataset) -> frozenset[str]:
    documents = dataset.tables["documents"]
    return frozenset(documents["document_id"][documents["window"] == "current"])


def _changes(
    request: ReportRequest,
    trials: Sequence[TrialFigures],
    disclosed: Callable[[TrialDataset, Audience], TrialDataset],
) -> Iterator[FigureChange]:
    """Against the report that this one takes the place of, counted as this one: by filters and audience."""
    if request.restates is None:
        return
    filters, new = request.subscription.filters, {one.trial: one for one in trials}
    before = {
        one.trial: figures_for(disclosed(one, request.audience), filters)
        for one in request.restates.datasets
        if selects_trial(filters, one.trial)
    }
    for trial in sorted({*before, *new} if request.restates.complete else before.keys() & new.keys()):
        yield from figure_changes(trial, before.get(trial), new.get(trial))


def shows_what_was_sent(request: ReportRequest) -> bool:
    """Whether what changed since the report that was sent is nothing that this reader sees.

    Never of a report that stands on the trial so far: what that was made from is not kept beside it.
    """
    before = request.restates
    if before is None or not before.complete or request.statuses or request.medians:
        return False
    both = (before.datasets, _selected(request))
    old, new = ([for_audience(one, request.audience) for one in some] for some in both)
    return shows_the_same(old, new)


def _restated_said(request: ReportRequest) -> list[object]:
    one = request.restates
    if one is None:
        return []
    return [one.sha256, one.rendered_at.isoformat(), one.complete, [_said(each) for each in one.datasets]]


def _parameters(kind: ReportType, given: Mapping[str, Any]) -> Parameters:
    try:
        return kind.parameters.model_validate(dict(given))
    except ValidationError as error:
        told = "; ".join(f"{path or 'options'}: {detail}" for path, detail in problems_of(error))
        raise ReportError(f"the parameters are none of {kind.name}: {told}") from None


def compose(flow: Flow, content: ReportContent, type_name: str) -> None:
    """The whole body: cover, a part for each trial, appendix. Without documents: the cover alone."""
    kind = report_type(type_name)
    if kind.compose is not None:
        kind.compose(flow, content)
        return
    shared_cover(flow, content, kind)
    what_changed(flow, content)
    if not content.is_empty or content.omissions or content.statuses:
        for trial in content.with_part:
            flow.new_page()
            for section in kind.sections:
                section(flow, trial, content)
        appendix(flow, content)


def file_name(request: ReportRequest) -> str:
    """A name that every file system takes: subscription, period and suffix; says so of an open period."""
    readable = re.sub(r"[^A-Za-z0-9]+", "-", request.subscription.name[:200]).strip("-").lower()[:60]
    suffix = FILE_KINDS[request.subscription.format].suffix
    early = "-preliminary" if request.preliminary_at else ""
    return f"{readable or 'report'}-{request.period.key}{early}.{suffix}"


def _selected(request: ReportRequest) -> list[TrialDataset]:
    filters = request.subscription.filters
    return sorted(
        (dataset for dataset in request.datasets if selects_trial(filters, dataset.trial)),
        key=lambda dataset: dataset.trial,
    )


def _selected_statuses(request: ReportRequest) -> list[TrialDataset]:
    filters = request.subscription.filters
    return sorted(
        (of_kinds(one, filters) for one in request.statuses if selects_trial(filters, one.trial)),
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
