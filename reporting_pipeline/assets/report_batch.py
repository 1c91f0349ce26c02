"""What the reports of one run share: who gets what, the datasets under it, the renderer, the storing.

The asset itself is in `reports`; what a report looks like is in the package `reporting_pipeline.reports`.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, replace
from datetime import UTC, datetime
from threading import BoundedSemaphore
from typing import Any, Self

from dagster import (
    MetadataValue,
)

from reporting_pipeline import __version__
from reporting_pipeline.assets.batch import (
    Made,
    PartitionFailed,
    StageTimes,
)
from reporting_pipeline.assets.report_orders import Order, Organisation, read_orders
from reporting_pipeline.assets.report_spans import ReportSpans
from reporting_pipeline.assets.report_trials import TrialsOfRun
from reporting_pipeline.assets.scope import (
    NEED_STATUS,
    PRODUCT,
    REPORT_CODE_VERSION,
    Scope,
)
from reporting_pipeline.assets.thumbnails import ThumbnailSource
from reporting_pipeline.delivery.links.verification import verification_code, verification_prefix
from reporting_pipeline.domain.access import User
from reporting_pipeline.domain.branding import UNBRANDED
from reporting_pipeline.domain.content_gate import (
    ASKED,
    REFUSED,
    GatePolicy,
    Release,
    concerning,
    stricter,
)
from reporting_pipeline.domain.disclosure import restricted
from reporting_pipeline.domain.omissions import (
    WHOLE_TRIAL,
    Omission,
    OnOmission,
)
from reporting_pipeline.domain.planning import report_id
from reporting_pipeline.domain.proof import manifest_of
from reporting_pipeline.domain.restatements import Restated
from reporting_pipeline.partitions import SubscriptionPartition
from reporting_pipeline.reports.renderer import (
    LAYOUT_VERSION,
    ReportRenderer,
    deferrable_tables,
    shows_what_was_sent,
)
from reporting_pipeline.reports.request import RenderedReport, ReportRequest
from reporting_pipeline.stores.audit import AuditAction, Event, record_many
from reporting_pipeline.stores.dataset_keys import dataset_prefix
from reporting_pipeline.stores.datasets import load_dataset
from reporting_pipeline.stores.jobs import (
    mark_failed,
    mark_processing,
    mark_rendered,
    mark_skipped,
    plan_follow_ups,
    refuse,
    skip_unchanged,
)
from reporting_pipeline.stores.measures import MEASURES
from reporting_pipeline.stores.mongo import Database, Record
from reporting_pipeline.stores.objects import ObjectMissing, ObjectStore
from reporting_pipeline.stores.organisations import branding_of
from reporting_pipeline.stores.proof_keys import signing_keys
from reporting_pipeline.stores.releases import decided_among
from reporting_pipeline.stores.report_files import ReportFiles, sealed_key
from reporting_pipeline.stores.reports import (
    StoredReport,
    basis_of,
    proof_record,
    report_key,
    save_reports,
    sent_reports,
)
from reporting_pipeline.stores.results import DONE, FAILED, AssetResult
from reporting_pipeline.stores.users import all_organisations

#: Files are stored in the background: so many at a time, and so many waiting before rendering waits.
STORING_AT_ONCE = 4
WAITING_FILES = 64


class ReportBatch:
    """Everything the reports of one run share, read once."""

    def __init__(
        self,
        database: Database,
        objects: ObjectStore,
        scope: Scope,
        orders: Mapping[str, Order],
        problems: Mapping[str, Exception],
        trials: TrialsOfRun,
        organisations: Mapping[str, "Organisation"],
        run_id: str,
        times: StageTimes,
        sent: Mapping[str, StoredReport],
    ) -> None:
        self._database = database
        self._objects = objects
        self._files = ReportFiles.of(database, objects, scope.settings)
        self._scope = scope
        self._orders = orders
        self._problems = problems
        self._trials = trials
        self._organisations = organisations
        self._run_id = run_id
        self._sent = sent
        #: (subscription, period key) of what was made anew and shows its reader nothing else than before.
        self._alike: set[tuple[str, str]] = set()
        self._renderer = ReportRenderer(
            ThumbnailSource(database, objects).read, scope.settings.home / "cache" / "thumbnails"
        )
        self._times = times
        #: (subscription, period key) -> input version, as it was worked out.
        self._versions: dict[tuple[str, str], str] = {}
        self._verify_prefix = verification_prefix(scope.settings)
        self._signing = signing_keys(scope.settings).current
        self._spans = ReportSpans(database, scope.cadence.value)
        self._storing = ThreadPoolExecutor(STORING_AT_ONCE, thread_name_prefix="storing")
        self._room = BoundedSemaphore(WAITING_FILES)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._storing.shutdown(cancel_futures=True)

    @classmethod
    def open(
        cls,
        database: Database,
        objects: ObjectStore,
        scope: Scope,
        partitions: Sequence[SubscriptionPartition],
        run_id: str,
        times: StageTimes,
    ) -> "ReportBatch":
        ids = list({partition.subscription for partition in partitions})
        orders, problems = read_orders(database, ids)
        trials = sorted({trial for order in orders.values() for trial in order.trials})
        periods = sorted({partition.period.key for partition in partitions})
        served = {order.subscription.organisation for order in orders.values()}
        organisations = {
            record["_id"]: Organisation.of(
                record, branding_of(record, objects) if record["_id"] in served else UNBRANDED
            )
            for record in all_organisations(database)
        }
        return cls(
            database,
            objects,
            scope,
            orders,
            problems,
            TrialsOfRun(database, objects, scope, periods, trials),
            organisations,
            run_id,
            times,
            sent_reports(database, scope.cadence, periods, ids),
        )

    def begin(self, partitions: Sequence[SubscriptionPartition]) -> None:
        """Note on the jobs of these reports that they are worked on. On no others: a job that is worked on
        cannot be brought forward, and the last of a range can be minutes away."""
        now = datetime.now(UTC)
        for period in sorted({one.period.key for one in partitions}):
            concerned = (one.subscription for one in partitions if one.period.key == period)
            mark_processing(self._database, concerned, period, now)

    def in_body_order(self, partitions: Sequence[SubscriptionPartition]) -> list[SubscriptionPartition]:
        """Reports that share a body come one after the other, so that the body is made once."""

        def position(partition: SubscriptionPartition) -> tuple[str, ...]:
            order = self._orders.get(partition.subscription)
            if order is None:
                return (partition.period.key,)
            one = order.subscription
            return (
                partition.period.key,
                *order.trials,
                one.report_type,
                one.format,
                one.filters.fingerprint(),
                json.dumps([order.shown, order.subject, order.audience, one.parameters], sort_keys=True),
            )

        return sorted(partitions, key=position)

    def input_version(self, partition: SubscriptionPartition) -> str:
        """Equal when the same report would come out. Raises what keeps the report from being made."""
        problem = self._problems.get(partition.subscription)
        if problem is not None:
            raise problem
        order = self._orders[partition.subscription]
        one = order.subscription
        standing, omissions = self._usable(partition, order)
        branding = self._organisation(one.organisation).branding
        sources = [
            (trial, self._trials.datasets[period, trial].version, self._trials.media[period, trial].version)
            for period, trial in ((partition.period.key, one) for one in standing)
        ]
        inputs = [
            REPORT_CODE_VERSION,
            __version__,
            one.report_type,
            one.format,
            one.name,
            one.filters.fingerprint(),
            one.parameters,
            order.owner.name,
            self._organisation(one.organisation).name,
            self._verify_prefix,
            order.shown,
            order.subject,
            order.audience,
            sources,
            [
                [self._trials.statuses[partition.period.key, trial].version, order.sites_seen(trial)]
                for trial in self._so_far(order, standing)
            ],
            *([[one.trial, one.reason] for one in omissions]),
            # Reports of those who have nothing of their own are what they were before there was any.
            *([branding.said()] if branding != UNBRANDED else []),
            *([basis["sha256"]] if (basis := self._basis(partition, standing)) else []),
        ]
        version = hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()[:16]
        self._versions[one.id, partition.period.key] = version
        return version

    def _code(self, partition: SubscriptionPartition) -> str:
        """Of the page that tells about this rendering: the same for the same inputs."""
        place = (partition.subscription, partition.period.key)
        version = self._versions.get(place) or self.input_version(partition)
        document = report_id(self._scope.cadence, partition.period.key, partition.subscription)
        return verification_code(self._scope.settings, document, version)

    def make(self, partition: SubscriptionPartition) -> Made:
        self._spans.begin(partition)
        order = self._orders[partition.subscription]
        one = order.subscription
        request = self._request(partition, order)
        if shows_what_was_sent(request):
            request = replace(request, restates=None)
            self._alike.add((one.id, partition.period.key))
        labels = {"report_type": one.report_type, "format": one.format.value}
        with self._times.on("render"), MEASURES.timed("generation", **labels):
            rendered = self._renderer.render(request)
        _refuse_untold(request, rendered)
        plain_key = report_key(
            partition.period,
            one.id,
            rendered.sha256,
            rendered.format.value,
            unblinded=request.policy.arm,
        )
        key = sealed_key(plain_key, sealed=self._organisation(one.organisation).sealed)
        detail = {
            "organisation": one.organisation,
            "key": key,
            "sha256": rendered.sha256,
            "size": rendered.size,
            "pages": rendered.pages,
            "format": rendered.format.value,
            "content_type": rendered.content_type,
            "file_name": rendered.file_name,
            "data_as_of": rendered.data_as_of,
            "dataset_versions": {
                dataset.trial: self._trials.datasets[partition.period.key, dataset.trial].version
                for dataset in request.datasets
            },
            "code_version": PRODUCT,
            "shown": order.shown,
            "subject": order.subject,
            "audience": request.audience.value,
            "omissions": [asdict(one) for one in rendered.omissions],
            "filters": request.subscription.filters.model_dump(mode="json"),
            "report_type": one.report_type,
            "code": request.verify_at[1] if request.verify_at else "",
            "inputs": [
                self._input(partition.period.key, dataset.trial, order) for dataset in request.datasets
            ],
            "restates": (
                self._basis(partition, [dataset.trial for dataset in request.datasets])
                if request.restates
                else None
            ),
        }
        return Made(
            version=rendered.sha256[:16],
            detail=detail,
            metadata=_metadata(
                self._objects, rendered, key, order, partition, self._scope.settings.public_url
            ),
            under_way=self._store(key, rendered, order.owner),
        )

    def _input(self, period: str, trial: str, order: Order) -> Record:
        """What of one trial a report was made from, and where what has no other name lies."""
        place = (period, trial)
        found: Record = {
            "trial": trial,
            "documents": self._trials.documents[place].version,
            "dataset": self._trials.datasets[place].version,
            "media": self._trials.media[place].version,
            "media_key": self._trials.media[place].detail["key"],
        }
        if self._so_far(order, [trial]):
            status = self._trials.statuses[place]
            seen = order.sites_seen(trial)
            found |= {
                "status": status.version,
                "status_prefix": status.detail["prefix"],
                "sites_seen": None if seen is None else list(seen),
            }
        return found

    def _store(self, key: str, rendered: RenderedReport, owner: User) -> Future[None]:
        """Store the file beside the rendering of the next ones; what waits is bounded."""
        now = datetime.now(UTC)
        with self._times.on("waiting for files"):
            self._room.acquire()

        def put() -> None:
            try:
                self._files.put(key, rendered.body, rendered.content_type, owner, now)
            finally:
                self._room.release()

        try:
            return self._storing.submit(put)
        except BaseException:
            self._room.release()
            raise

    def record(self, results: Sequence[AssetResult]) -> None:
        """Name the stored files in `reports`, then move the jobs that waited for them."""
        self._spans.end(results)
        done = [result for result in results if result.state == DONE]
        reports = self._looked_at([self._stored(result) for result in done])
        save_reports(self._database, reports)
        now = datetime.now(UTC)
        omissions = {(report.subscription, report.period): report.omissions for report in reports}
        plan_follow_ups(self._database, omissions, self._follows_up, now)
        files = {(one.subscription, one.period): one.sha256 for one in reports}
        skip_unchanged(self._database, files, self._alike, now)
        awaiting = {
            (one.subscription, one.period): one.awaiting_release for one in reports if one.awaiting_release
        }
        mark_rendered(self._database, omissions, now, omissions, awaiting)
        for one in reports:
            if one.awaiting_release == [REFUSED]:
                refuse(self._database, one.subscription, one.period, one.id, REFUSED["said"], now)
        failed = [result for result in results if result.state == FAILED]
        mark_failed(
            self._database, [(one.item, one.period, one.reason, one.permanent) for one in failed], now
        )
        skipped = [result for result in results if result.state not in (DONE, FAILED)]
        mark_skipped(self._database, [(one.item, one.period, one.reason) for one in skipped], now)
        made_now = [result for result in results if result.run_id == self._run_id]
        record_many(self._database, [event for one in made_now for event in self._audit(one)], now)

    def _audit(self, result: AssetResult) -> Iterator[Event]:
        """The audit's row of one report: what was rendered, or that it failed and where."""
        order = self._orders.get(result.item)
        organisation = order.subscription.organisation if order else self._scope.settings.organisation
        details = {"period": result.period, "cadence": self._scope.cadence.value, "run": result.run_id}
        subject = report_id(self._scope.cadence, result.period, result.item)
        if result.state == DONE:
            details |= {"sha256": result.detail["sha256"], "subscription": result.item}
            yield Event(AuditAction.REPORT_RENDERED, "system", subject, organisation, details)
        elif result.state == FAILED:
            details |= {"subscription": result.item}
            yield Event(AuditAction.REPORT_FAILED, "system", subject, organisation, details)

    def _stored(self, result: AssetResult) -> StoredReport:
        """The record of a report, with its manifest signed: by whom it is stored, and in the same write."""
        report = StoredReport(
            id=report_id(self._scope.cadence, result.period, result.item),
            subscription=result.item,
            cadence=self._scope.cadence.value,
            period=result.period,
            rendered_at=result.at,
            worded=self._worded(result.item),
            **result.detail,
        )
        envelope = self._signing.sign(manifest_of(report.__dict__, LAYOUT_VERSION))
        return replace(report, proof=proof_record(envelope))

    def _looked_at(self, reports: Sequence[StoredReport]) -> list[StoredReport]:
        """With what of each is out of the usual, and why it awaits a release that was not given already."""
        looked = [self._judged(one) for one in reports]
        decided = decided_among(self._database, [(one.id, one.sha256) for one in looked])
        kept: dict[str | None, Sequence[Record]] = {"released": (), "refused": [REFUSED]}
        return [
            replace(
                one,
                awaiting_release=kept.get(
                    decided.get((one.id, one.sha256)), () if self._went_out(one) else one.awaiting_release
                ),
            )
            for one in looked
        ]

    def _went_out(self, report: StoredReport) -> bool:
        """Whether people have this very file. A stricter policy takes it from nobody: no job waits for it
        any more, so nobody could release it."""
        sent = self._sent.get(report.id)
        return sent is not None and sent.sha256 == report.sha256 and not sent.awaiting_release

    def _judged(self, report: StoredReport) -> StoredReport:
        order = self._orders.get(report.subscription)
        organisation = self._organisation(report.organisation)
        own = order.subscription.parameters.get("content_gate") if order else None
        policy = stricter(organisation.content_gate, own)
        found = [
            one
            for trial in report.dataset_versions
            for one in self._trials.datasets[report.period, trial].detail.get("unusual", ())
        ]
        unusual = concerning(found, restates=bool(report.restates), omissions=report.omissions)
        awaiting = [ASKED] if organisation.release is Release.BY_PERSON else []
        if policy is GatePolicy.HOLD:
            awaiting += unusual
        return replace(report, awaiting_release=awaiting, unusual=[] if policy is GatePolicy.OFF else unusual)

    def _worded(self, subscription: str) -> Record:
        """What else the bytes of its report follow from."""
        order = self._orders.get(subscription)
        if order is None:
            return {}
        one = order.subscription
        return {
            "name": one.name,
            "owner_name": order.owner.name,
            "organisation_name": self._organisation(one.organisation).name,
            "branding": self._organisation(one.organisation).branding.said(),
            "parameters": dict(one.parameters),
            "timezone": self._scope.settings.timezone,
            "verify_prefix": self._verify_prefix,
            "console_url": self._scope.settings.public_url,
        }

    def _request(self, partition: SubscriptionPartition, order: Order) -> ReportRequest:
        one = order.subscription
        standing, omissions = self._usable(partition, order)
        restates = self._restated(partition, order, standing)
        deferrable = deferrable_tables(one)
        return ReportRequest(
            subscription=one,
            owner_name=order.owner.name,
            organisation_name=self._organisation(one.organisation).name,
            most_rows=self._organisation(one.organisation).report_rows,
            period=partition.period,
            datasets=tuple(
                self._trials.load(partition.period.key, trial, order.sites(trial), order.subject, deferrable)
                for trial in standing
            ),
            omissions=omissions,
            statuses=tuple(
                self._trials.load_so_far(partition.period.key, trial, order.sites(trial), order.subject)
                for trial in self._so_far(order, standing)
            ),
            medians={
                trial: self._trials.medians(partition.period, trial, order.sites_seen(trial))
                for trial in self._so_far(order, standing)
            },
            progress={
                trial: self._trials.progress(partition.period, trial)
                for trial in (self._so_far(order, standing) if order.subject else ())
            },
            audience=order.audience,
            document_id=report_id(self._scope.cadence, partition.period.key, one.id),
            code_version=PRODUCT,
            restates=restates,
            verify_at=(self._verify_prefix, self._code(partition)),
            console_url=self._scope.settings.public_url,
            branding=self._organisation(one.organisation).branding,
        )

    def _basis(self, partition: SubscriptionPartition, trials: Sequence[str]) -> Record | None:
        """The rendering that was sent and whose place this one takes, as `reports` keeps it."""
        sent = self._sent.get(report_id(self._scope.cadence, partition.period.key, partition.subscription))
        if sent is None:
            return None
        versions = {trial: self._trials.datasets[partition.period.key, trial].version for trial in trials}
        basis = basis_of(sent, versions)
        return dict(basis) if basis else None

    def _restated(
        self, partition: SubscriptionPartition, order: Order, trials: Sequence[str]
    ) -> Restated | None:
        """What the report takes the place of, with as much of its data as is kept, as far as it is shown."""
        basis = self._basis(partition, trials)
        if basis is None:
            return None
        datasets, complete = [], True
        for trial, version in sorted(basis["dataset_versions"].items()):
            if trial not in order.trials:
                continue
            try:
                prefix = dataset_prefix(partition.period, trial, version)
                dataset = load_dataset(self._objects, prefix, None, deferrable_tables(order.subscription))
            except ObjectMissing:
                complete = False
            else:
                datasets.append(restricted(dataset, order.sites(trial), order.subject))
        return Restated(
            basis["sha256"], basis["rendered_at"], basis["dataset_versions"], tuple(datasets), complete
        )

    def _so_far(self, order: Order, trials: Sequence[str]) -> list[str]:
        """Those of `trials` of which the report's type needs the trial so far."""
        return list(trials) if order.subscription.report_type in NEED_STATUS else []

    def _usable(
        self, partition: SubscriptionPartition, order: Order
    ) -> tuple[list[str], tuple[Omission, ...]]:
        """(trials that the report is made from, those it leaves out and why).

        A trial that is not ready, or whose failure may pass, is waited for. One that cannot be used takes
        nobody else's report away, unless its organisation holds such reports or nothing else is left.
        """
        standing: list[str] = []
        omissions: list[Omission] = []
        for trial in order.trials:
            so_far = bool(self._so_far(order, [trial]))
            trouble = self._trials.trouble(partition.period.key, trial, so_far)
            if trouble is None:
                standing.append(trial)
            else:
                omissions.append(Omission(trial, WHOLE_TRIAL, trouble))
        holds = self._organisation(order.subscription.organisation).on_omission is OnOmission.HOLD
        if omissions and (holds or not standing):
            raise PartitionFailed(
                "; ".join(f"trial {one.trial}: {one.reason}" for one in omissions), permanent=False
            )
        return standing, tuple(omissions)

    def _organisation(self, organisation: str) -> "Organisation":
        return self._organisations.get(organisation, Organisation(organisation))

    def _follows_up(self, subscription: str) -> bool:
        order = self._orders.get(subscription)
        if order is None:
            return False
        policy = self._organisation(order.subscription.organisation).on_omission
        return policy is OnOmission.SEND_AND_FOLLOW_UP


def _refuse_untold(request: ReportRequest, rendered: RenderedReport) -> None:
    """A report that leaves a trial out and does not say so is not stored: its reader could not know."""
    untold = sorted(set(request.omissions) - set(rendered.omissions))
    if untold:
        raise PartitionFailed("; ".join(one.reason for one in untold), permanent=False)


def _metadata(
    objects: ObjectStore,
    rendered: RenderedReport,
    key: str,
    order: Order,
    partition: SubscriptionPartition,
    public_url: str,
) -> dict[str, MetadataValue[Any]]:
    in_console = f"/console/reports/{partition.subscription}/periods/{partition.period.key}"
    return {
        "console": MetadataValue.url(public_url.rstrip("/") + in_console),
        "pages": MetadataValue.int(rendered.pages),
        "bytes": MetadataValue.int(rendered.size),
        "SHA-256": MetadataValue.text(rendered.sha256),
        "format": MetadataValue.text(rendered.format.value),
        "trials": MetadataValue.text(", ".join(order.trials)),
        "filters": MetadataValue.json(order.subscription.filters.model_dump(mode="json")),
        "audience": MetadataValue.text(order.audience.value),
        "body": MetadataValue.text(rendered.body_id),
        "data as of": MetadataValue.timestamp(rendered.data_as_of),
        "period ends": MetadataValue.timestamp(partition.period.end_at),
        "code version": MetadataValue.text(PRODUCT),
        "location": MetadataValue.path(f"s3://{objects.bucket}/{key}"),
    }
