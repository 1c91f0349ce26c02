"""The limit: an edition's reports rendered and stored by a plain loop, as if nothing could ever fail.

No run, no record, no event, no rights, no retry: what is left is the cost of the bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from itertools import islice

from reporting_pipeline import __version__
from reporting_pipeline.assets.report_batch import STORING_AT_ONCE
from reporting_pipeline.assets.report_trials import DATASETS_KEPT
from reporting_pipeline.assets.scope import REPORT_CODE_VERSION
from reporting_pipeline.domain.datasets import TrialDataset
from reporting_pipeline.domain.periods import Period
from reporting_pipeline.domain.planning import report_id
from reporting_pipeline.domain.subscriptions import Subscription
from reporting_pipeline.reports.renderer import ReportRenderer
from reporting_pipeline.reports.request import RenderedReport, ReportRequest
from reporting_pipeline.settings import Settings
from reporting_pipeline.stores.datasets import load_dataset
from reporting_pipeline.stores.mongo import Database
from reporting_pipeline.stores.objects import ObjectStore
from reporting_pipeline.stores.results import results_of
from reporting_pipeline.stores.subscriptions import from_record

AT_ONCE = 256


def render_part(
    database: Database, objects: ObjectStore, settings: Settings, period: Period, part: int, of: int
) -> tuple[int, bool]:
    """Render and store every report of part `part` of `of`; (how many, all with the edition's bytes)."""
    renderer = ReportRenderer(objects.get, settings.home / "cache" / "thumbnails")
    expected = {
        row["subscription"]: row["sha256"]
        for row in database.reports.find({"period": period.key}, {"subscription": 1, "sha256": 1})
    }
    count, same = 0, True
    waiting = requests(database, objects, period, part, of)
    with ThreadPoolExecutor(STORING_AT_ONCE) as pool:
        while batch := list(islice(waiting, AT_ONCE)):
            puts = []
            for request in batch:
                rendered = renderer.render(request)
                count += 1
                same = same and expected.get(request.subscription.id) == rendered.sha256
                puts.append(pool.submit(_put, objects, request.subscription.id, rendered))
            for put in puts:
                put.result()
    return count, same


class Inputs:
    """What the reports of a period are made from: datasets by trial, the newest few kept."""

    def __init__(self, database: Database, objects: ObjectStore, period: Period) -> None:
        self._period = period
        datasets = results_of(database, "weekly/trial_dataset", period.key)
        media = results_of(database, "weekly/trial_media", period.key)
        #: What the edition printed in each report to lead out of it; the same bytes need the same.
        shown = {"subscription": 1, "code": 1, "worded": 1}
        self._edition = {
            row["subscription"]: row for row in database.reports.find({"period": period.key}, shown)
        }

        @lru_cache(maxsize=DATASETS_KEPT)
        def dataset(trial: str) -> TrialDataset:
            return load_dataset(objects, datasets[trial].detail["prefix"], media[trial].detail["key"])

        self._dataset = dataset

    def request(self, one: Subscription, owner_name: str) -> ReportRequest:
        """The request of one subscription's report."""
        made = self._edition[one.id]
        return ReportRequest(
            subscription=one,
            owner_name=owner_name,
            organisation_name=one.organisation,
            period=self._period,
            datasets=tuple(self._dataset(trial) for trial in one.filters.trials),
            document_id=report_id(self._period.cadence, self._period.key, one.id),
            code_version=f"{__version__}/{REPORT_CODE_VERSION}",
            verify_at=(made["worded"]["verify_prefix"], made["code"]),
            console_url=made["worded"]["console_url"],
        )


def requests(
    database: Database, objects: ObjectStore, period: Period, part: int = 0, of: int = 1
) -> Iterator[ReportRequest]:
    """The requests of the edition's reports, those that share a body one after the other.

    Of `of` equal parts the one with number `part`.
    """
    inputs = Inputs(database, objects, period)
    names = {row["_id"]: row["name"] for row in database.users.find({}, {"name": 1})}
    subscriptions = sorted(map(from_record, database.subscriptions.find()), key=_body_order)
    size = -(-len(subscriptions) // of)
    for one in subscriptions[part * size : (part + 1) * size]:
        yield inputs.request(one, names[one.owner])


def _body_order(one: Subscription) -> tuple[object, ...]:
    return (one.filters.trials, one.report_type, one.format, one.filters.fingerprint())


def _put(objects: ObjectStore, subscription: str, rendered: RenderedReport) -> None:
    objects.put(f"limit/{subscription}/{rendered.sha256}", rendered.content, rendered.content_type)
