"""A PDF report as a page for the browser: the same content, made when somebody opens it.

It is made from what its record names (`reproduce`), by one thread of a process, and kept in memory for
minutes and nowhere else: whoever asks was asked for their rights before, and erasure, retention and
withdrawal find no second file.
"""

from __future__ import annotations

import json
import logging
from collections import OrderedDict
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from threading import Lock, Timer

from reporting_pipeline.delivery.links.pages import PAGE_HEADERS
from reporting_pipeline.domain.periods import Cadence, Period
from reporting_pipeline.domain.subscriptions import Format
from reporting_pipeline.reports.renderer import ReportRenderer
from reporting_pipeline.reports.request import ReportError
from reporting_pipeline.stores.dataset_keys import MANIFEST, dataset_prefix
from reporting_pipeline.stores.objects import ObjectMissing, ObjectStore
from reporting_pipeline.stores.reports import StoredReport
from reporting_pipeline.usecases.reproduce import NotReproducible, request_of

log = logging.getLogger(__name__)

#: Rows of all its datasets: about 1.1 KB of memory each.
MOST_ROWS = 100_000
MOST_BYTES = 20_000_000
#: Of all editions that are kept.
KEPT_BYTES = 60_000_000
KEPT = timedelta(minutes=10)
#: So many wait for the one that is being made; who comes then is told to come again.
MOST_WAITING = 8
PATIENCE = timedelta(seconds=20)
#: What an edition may do in a browser: show itself. Its style sheet is inside.
EDITION_HEADERS = PAGE_HEADERS | {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "sandbox allow-popups allow-top-navigation-by-user-activation"
}


class NotReadable(Exception):
    """There is no edition of this report for a browser. `later`: not yet; another look may find one."""

    def __init__(self, why: str, *, later: bool = False) -> None:
        super().__init__(why)
        self.later = later


Place = tuple[str, str]  # a report's id, the SHA-256 of its file


class HtmlEditions:
    """The editions of one process. Safe for use by several threads."""

    def __init__(self, objects: ObjectStore, cache: Path, kept: timedelta = KEPT) -> None:
        """`cache`: a folder for thumbnails."""
        self._objects = objects
        self._cache = cache
        self._for = kept
        self._maker = ThreadPoolExecutor(1, thread_name_prefix="html-edition")
        self._turn = Lock()
        self._under_way: dict[Place, Future[bytes]] = {}
        self._kept: OrderedDict[Place, bytes] = OrderedDict()

    def edition(self, report: StoredReport, patience: timedelta = PATIENCE) -> bytes:
        """The file, UTF-8. Raises NotReadable, also when it is not made within `patience`."""
        place = (report.id, report.sha256)
        with self._turn:
            if place in self._kept:
                return self._kept[place]
            future = self._under_way.get(place)
            if future is None:
                if len(self._under_way) >= MOST_WAITING:
                    raise NotReadable("others come first", later=True)
                future = self._under_way[place] = self._maker.submit(self._make, report, place)
        try:
            return future.result(patience.total_seconds())
        except TimeoutError:
            raise NotReadable("it is being made", later=True) from None

    def _make(self, report: StoredReport, place: Place) -> bytes:
        try:
            made = edition_of(self._objects, report, self._cache)
        except BaseException:
            with self._turn:
                self._under_way.pop(place)
            raise
        with self._turn:
            self._under_way.pop(place)
            self._kept[place] = made
            while sum(map(len, self._kept.values())) > KEPT_BYTES:
                self._kept.popitem(last=False)
        forgetting = Timer(self._for.total_seconds(), self._forget, [place])
        forgetting.daemon = True
        forgetting.start()
        return made

    def _forget(self, place: Place) -> None:
        with self._turn:
            self._kept.pop(place, None)


def edition_of(objects: ObjectStore, report: StoredReport, cache: Path) -> bytes:
    """A stored PDF report as one HTML file. Raises NotReadable.

    Without the code of the PDF, which speaks of the PDF's bytes.
    """
    if report.format != Format.PDF.value:
        raise NotReadable("only a PDF has an edition for the browser")
    try:
        rows = rows_behind(objects, report)
        if rows > MOST_ROWS:
            raise NotReadable(f"it is made from {rows:,} rows; at most {MOST_ROWS:,} are shown in a browser")
        request = request_of(objects, report)
        html = request.subscription.model_copy(update={"format": Format.HTML})
        renderer = ReportRenderer(objects.get, cache, bodies=1)
        rendered = renderer.render(replace(request, subscription=html, verify_at=None))
    except (NotReproducible, ReportError) as error:
        raise NotReadable(str(error)) from None
    except ObjectMissing as gone:
        raise NotReadable(f"{gone.args[0]} is kept no longer") from None
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        # What somebody broke by hand in one record.
        log.warning("report %s has no edition for the browser: %s", report.id, type(error).__name__)
        raise NotReadable("its record cannot be read") from None
    if rendered.size > MOST_BYTES:
        raise NotReadable(f"it has {rendered.size:,} bytes; at most {MOST_BYTES:,} are shown in a browser")
    return rendered.content


def rows_behind(objects: ObjectStore, report: StoredReport) -> int:
    """Rows of all tables that a report is made from, as its datasets tell. Raises ObjectMissing."""
    period = Period.from_key(Cadence(report.cadence), report.period)
    prefixes = [
        prefix
        for one in report.inputs
        for prefix in (dataset_prefix(period, one["trial"], one["dataset"]), one.get("status_prefix"))
        if prefix
    ]
    manifests = (json.loads(objects.get(f"{prefix}/{MANIFEST}")) for prefix in prefixes)
    return sum(int(rows) for manifest in manifests for rows in manifest["rows"].values())
