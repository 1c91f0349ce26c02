"""A handle on the stores bound to one caller: every list and every read goes through it.

It adds the caller's organisation, reach and entitlements to the query, below the routes, so that no
route can forget them. What is not the caller's is not found, whatever way it is asked for: by id, in a
list, by a cursor or a filter. Whether somebody may have a *report* depends on what it was made from:
`domain.access.may_have`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import cast

from reporting_pipeline.domain.access import Action, Decision, ResourceKind, User, may_have, reach_of
from reporting_pipeline.domain.deliveries import DeliveryRecord
from reporting_pipeline.domain.disclosure import document_shown
from reporting_pipeline.domain.entitlements import ALL, Entitlements, Extent
from reporting_pipeline.domain.jobs import AwaitingRelease, DeliveryState, JobRecord, JobState
from reporting_pipeline.domain.subscriptions import Subscription
from reporting_pipeline.stores import dead_letters, documents, holds, jobs, mailings, subscriptions
from reporting_pipeline.stores.confirmations import paused_unanswered, waiting_for_a_word
from reporting_pipeline.stores.mongo import (
    Database,
    Record,
    delivery_records,
    find_any,
    job_records,
    narrowed,
)
from reporting_pipeline.stores.reports import StoredReport, reports_by_id
from reporting_pipeline.stores.subscription_lists import count_of_owners, of_owners
from reporting_pipeline.stores.subscription_search import Found, find_by_name

#: Somebody limited to some trials also sees what belongs to those who see no more than they do: so many.
NARROWER_AT_MOST = 5_000
NOTHING: Record = {"organisation": {"$in": []}}


@dataclass(frozen=True)
class Scoped:
    """The stores as `caller` may read them."""

    database: Database
    caller: User

    # --- documents

    def documents(
        self,
        *,
        trial: str | None = None,
        site: str | None = None,
        kind: str | None = None,
        window: tuple[datetime, datetime] | None = None,
        after: tuple[datetime, str] | None = None,
        limit: int = 50,
    ) -> list[Record]:
        """`stores.documents.list_documents` of what is open to the caller, as their audience may read it."""
        found = documents.list_documents(
            self.database,
            self.caller.organisation,
            within=self._documents,
            trial=trial,
            site=site,
            kind=kind,
            window=window,
            after=after,
            limit=limit,
        )
        return [self.document_shown(record) for record in found]

    def document(self, identifier: str) -> Record | None:
        """As the caller's audience may read it."""
        record = self.document_to_change(identifier)
        return None if record is None else self.document_shown(record)

    def document_to_change(self, identifier: str) -> Record | None:
        """As it is stored: for what is written, not for what is answered."""
        return documents.get_document(
            self.database, self.caller.organisation, identifier, within=self._documents
        )

    def document_shown(self, record: Record) -> Record:
        """A document, or an older version of one, without what the caller's audience must not see."""
        return document_shown(record, self.caller.entitlements.audience)

    def readable(self, identifiers: Sequence[str]) -> set[str]:
        """Those of the documents that the caller may read; to whom all is open, withdrawn ones, too."""
        if self.caller.entitlements.unlimited:
            return set(identifiers)
        query = narrowed({"organisation": self.caller.organisation}, self._documents)
        return {
            one["_id"] for one in find_any(self.database.documents, "_id", identifiers, query, {"_id": 1})
        }

    def documents_named(self, identifiers: Sequence[str]) -> dict[str, Record]:
        """Those of the documents that stand, by id, as the caller's audience may read them."""
        query = narrowed({"organisation": self.caller.organisation}, self._documents)
        return {
            one["_id"]: self.document_shown(one)
            for one in find_any(self.database.documents, "_id", identifiers, query)
        }

    # --- subscriptions

    def subscriptions(
        self,
        *,
        owner: str | None = None,
        status: str | None = None,
        owners: Sequence[str] | None = None,
        after: str | None = None,
        skip: int = 0,
        limit: int = 50,
    ) -> list[Subscription]:
        """`stores.subscriptions.list_subscriptions` of what is open to the caller.

        `owners` are some owners of whom it is one.
        """
        if owners is not None:
            return of_owners(
                self.database,
                self.caller.organisation,
                self._owners(owners, owner),
                status=status,
                after=after,
                limit=limit,
                within=self._of(ResourceKind.SUBSCRIPTION),
            )
        return subscriptions.list_subscriptions(
            self.database,
            self.caller.organisation,
            owner=self._owner(ResourceKind.SUBSCRIPTION, owner),
            status=status,
            after=after,
            skip=skip,
            limit=limit,
            within=self._of(ResourceKind.SUBSCRIPTION),
        )

    def count_of_owners(self, owners: Sequence[str], status: str | None = None) -> int:
        """`stores.subscription_lists.count_of_owners` of what is open to the caller."""
        return count_of_owners(
            self.database,
            self.caller.organisation,
            self._owners(owners, None),
            status,
            self._of(ResourceKind.SUBSCRIPTION),
        )

    def subscriptions_named(
        self,
        typed: str,
        *,
        owner: str | None = None,
        owners: Sequence[str] | None = None,
        status: str | None = None,
        after: str | None = None,
        limit: int = 50,
    ) -> Found:
        """`stores.subscription_search.find_by_name` of what is open to the caller."""
        return find_by_name(
            self.database,
            self.caller.organisation,
            typed,
            owner=self._owner(ResourceKind.SUBSCRIPTION, owner),
            owners=None if owners is None else self._owners(owners, owner),
            status=status,
            after=after,
            limit=limit,
            within=self._of(ResourceKind.SUBSCRIPTION),
        )

    def waiting_for_a_word(self, *, owner: str | None = None, limit: int) -> list[Subscription]:
        """`stores.confirmations.waiting_for_a_word` of what is open to the caller."""
        return waiting_for_a_word(
            self.database,
            self.caller.organisation,
            self._owner(ResourceKind.SUBSCRIPTION, owner),
            limit,
            self._of(ResourceKind.SUBSCRIPTION),
        )

    def paused_unanswered(self, *, owner: str | None = None, limit: int) -> list[Subscription]:
        """`stores.confirmations.paused_unanswered` of what is open to the caller."""
        return paused_unanswered(
            self.database,
            self.caller.organisation,
            self._owner(ResourceKind.SUBSCRIPTION, owner),
            limit,
            self._of(ResourceKind.SUBSCRIPTION),
        )

    def count_subscriptions(self, *, owner: str | None = None, status: str | None = None) -> int:
        return subscriptions.count_subscriptions(
            self.database,
            self.caller.organisation,
            owner=self._owner(ResourceKind.SUBSCRIPTION, owner),
            status=status,
            within=self._of(ResourceKind.SUBSCRIPTION),
        )

    def subscription(self, identifier: str) -> Subscription | None:
        """Also an ended one."""
        return subscriptions.get_subscription(
            self.database,
            self.caller.organisation,
            identifier,
            within={**self._own(ResourceKind.SUBSCRIPTION), **self._of(ResourceKind.SUBSCRIPTION)},
        )

    # --- jobs, deliveries, dead letters

    def job(self, identifier: str) -> JobRecord | None:
        found = job_records(self.database).find_one({"_id": identifier, **self._query(ResourceKind.JOB)})
        return None if found is None else self.told(found)

    def jobs_of(
        self,
        subscription: str,
        *,
        after: tuple[datetime, str] | None = None,
        skip: int = 0,
        limit: int = 50,
    ) -> list[JobRecord]:
        """`stores.jobs.jobs_of` of what is open to the caller: what a subscription asks for today may be less
        than it did, and another's before it was passed on."""
        place = (self.caller.organisation, subscription)
        found = jobs.jobs_of(self.database, *place, after, skip, limit, within=self._reached_jobs)
        return [self.told(one) for one in found]

    def count_jobs_of(self, subscription: str) -> int:
        """How many `jobs_of` would go through."""
        place = (self.caller.organisation, subscription)
        return jobs.count_jobs_of(self.database, *place, within=self._reached_jobs)

    @property
    def _reached_jobs(self) -> Record:
        return {**self._own(ResourceKind.JOB), **self._of(ResourceKind.JOB)}

    def told(self, job: JobRecord) -> JobRecord:
        """A job as the caller reads it: why it awaits its release has figures of whole trials, which are for
        whoever may release it and sees those trials whole."""
        awaiting = job.get("awaiting_release")
        if not awaiting:
            return job
        shown = AwaitingRelease(
            reasons=[one for one in awaiting["reasons"] if self._may_weigh(one)], at=awaiting["at"]
        )
        return cast("JobRecord", {**job, "awaiting_release": shown})

    def _may_weigh(self, reason: Mapping[str, str]) -> bool:
        """Whether the caller may read one reason of those for which a report awaits its release."""
        mine, trial = self.caller.entitlements, reason.get("trial", "")
        if reach_of(self.caller, Action.RELEASE, ResourceKind.REPORT) is None or mine.own_record_only:
            return False
        return not trial or (mine.covers_trial(trial) and mine.sites_of(trial) is None)

    def deliveries(
        self,
        edition: str,
        *,
        state: DeliveryState | None = None,
        after: str | None = None,
        limit: int = 50,
    ) -> list[DeliveryRecord]:
        """`stores.mailings.list_deliveries` of what is open to the caller."""
        return mailings.list_deliveries(
            self.database,
            self.caller.organisation,
            edition,
            owner=self._owner(ResourceKind.DELIVERY, None),
            state=state,
            after=after,
            limit=limit,
            within=self._of(ResourceKind.DELIVERY),
        )

    def delivery(self, identifier: str) -> DeliveryRecord | None:
        return delivery_records(self.database).find_one(
            {"_id": identifier, **self._query(ResourceKind.DELIVERY)}
        )

    def dead_letters(
        self, filters: Mapping[str, str] | None = None, *, limit: int = 50, after: str | None = None
    ) -> list[DeliveryRecord]:
        """`stores.dead_letters.list_dead_letters` of what is open to the caller."""
        return dead_letters.list_dead_letters(
            self.database,
            self.caller.organisation,
            filters,
            limit,
            after,
            within=self._of(ResourceKind.DEAD_LETTER),
        )

    def requeue(self, identifier: str, now: datetime) -> bool:
        """`stores.dead_letters.requeue` of a delivery that is open to the caller, who may give it back."""
        if reach_of(self.caller, Action.REQUEUE, ResourceKind.DEAD_LETTER) is None:
            return False
        return dead_letters.requeue(
            self.database,
            self.caller.organisation,
            identifier,
            self.caller.id,
            now,
            within=self._of(ResourceKind.DEAD_LETTER),
        )

    def requeue_matching(self, filters: Mapping[str, str], now: datetime, limit: int) -> int:
        """`stores.dead_letters.requeue_matching` among what is open to the caller, who may give it back."""
        if reach_of(self.caller, Action.REQUEUE, ResourceKind.DEAD_LETTER) is None:
            return 0
        return dead_letters.requeue_matching(
            self.database,
            self.caller.organisation,
            filters,
            self.caller.id,
            now,
            limit,
            within=self._of(ResourceKind.DEAD_LETTER),
        )

    def failed_renderings(self, *, after: str | None, limit: int) -> list[JobRecord]:
        """`stores.jobs.failed_renderings` of what is open to the caller."""
        found = jobs.failed_renderings(
            self.database, self.caller.organisation, after, limit, within=self._of(ResourceKind.DEAD_LETTER)
        )
        return [self.told(one) for one in found]

    def jobs_awaiting_release(self, *, after: str | None, limit: int) -> list[JobRecord]:
        """Jobs whose report waits for its release, of what is open to the caller, by their ids."""
        query: Record = {"state": JobState.AWAITING_RELEASE.value, **self._query(ResourceKind.JOB)}
        if after is not None:
            query = {"$and": [query, {"_id": {"$gt": after}}]}
        return [self.told(one) for one in job_records(self.database).find(query).sort("_id", 1).limit(limit)]

    def among(self, kind: ResourceKind, identifiers: Sequence[str]) -> set[str]:
        """Those of some subscriptions, jobs or deliveries that are open to the caller."""
        collections = {
            ResourceKind.SUBSCRIPTION: self.database.subscriptions,
            ResourceKind.JOB: self.database.jobs,
            ResourceKind.DELIVERY: self.database.deliveries,
        }
        found = find_any(collections[kind], "_id", identifiers, self._query(kind), {"_id": 1})
        return {one["_id"] for one in found}

    # --- reports

    def report(self, identifier: str) -> StoredReport | None:
        """The stored report when the caller may have it, by role and by what it was made from; else None.

        Whose roles reach no further than their own things has what was made for them, or sent to them.
        """
        return self._report(identifier, reach_of(self.caller, Action.READ, ResourceKind.REPORT))

    def report_to_send(self, identifier: str) -> StoredReport | None:
        """The same for who may send it: an outside worker sends what it does not open."""
        return self._report(identifier, reach_of(self.caller, Action.CREATE, ResourceKind.DELIVERY))

    def _report(self, identifier: str, reach: str | None) -> StoredReport | None:
        if reach is None:
            return None
        found = reports_by_id(self.database, [identifier]).get(identifier)
        if found is None or not self.may_have(found):
            return None
        return found if reach != "own" or self._is_theirs(found) else None

    def _is_theirs(self, report: StoredReport) -> bool:
        """Whether a report was made for the caller's subscription or job, or has gone out to them."""
        of_it: Record = {"subscription": report.subscription, "period": report.period}
        mine = {"organisation": self.caller.organisation, "owner": self.caller.id}
        if self.database.subscriptions.find_one({"_id": report.subscription, **mine}, {"_id": 1}):
            return True
        if self.database.jobs.find_one({**of_it, **mine}, {"_id": 1}):
            return True
        had: Record = {
            "user": self.caller.id,
            "state": {"$in": [DeliveryState.SENT, DeliveryState.DELIVERED]},
        }
        return self.database.deliveries.find_one({**of_it, **had}, {"_id": 1}) is not None

    def holds(self, *, after: str | None, limit: int) -> list[Record]:
        """Holds of reports that are open to the caller, by the report's id, at most `limit`.

        A hold whose report is gone says nothing of a trial, and is shown.
        """
        shown: list[Record] = []
        while len(shown) < limit:
            page = holds.holds_after(self.database, self.caller.organisation, after, limit)
            reports = reports_by_id(self.database, [one["_id"] for one in page])
            shown += [one for one in page if one["_id"] not in reports or self.may_have(reports[one["_id"]])]
            if len(page) < limit:
                break
            after = page[-1]["_id"]
        return shown[:limit]

    def open_whole(self, trial: str, report: StoredReport) -> bool:
        """Whether the caller may have what a report tells of a whole trial, all its sites."""
        extent = Extent({trial: None}, report.subject, report.extent.audience)
        return bool(may_have(self.caller, report.organisation, extent))

    def may_have(self, report: StoredReport) -> Decision:
        """By what it was made from; one that awaits its release is only for those who may release it."""
        if report.awaiting_release and reach_of(self.caller, Action.RELEASE, ResourceKind.REPORT) is None:
            return Decision(False, "it waits until somebody releases it", hidden=True)
        return may_have(self.caller, report.organisation, report.extent)

    # --- what is added to every query

    def _query(self, kind: ResourceKind) -> Record:
        return {"organisation": self.caller.organisation, **self._own(kind), **self._of(kind)}

    def _own(self, kind: ResourceKind) -> Record:
        owner = self._owner(kind, None)
        return {"owner": owner} if owner is not None else {}

    def _owner(self, kind: ResourceKind, wanted: str | None) -> str | None:
        """Whose things are read: the wanted owner's, or one's own where the roles reach no further."""
        return self.caller.id if reach_of(self.caller, Action.READ, kind) == "own" else wanted

    def _owners(self, wanted: Sequence[str], owner: str | None) -> frozenset[str]:
        """The same of several owners, and of `owner` alone where one is named beside them."""
        one = self._owner(ResourceKind.SUBSCRIPTION, owner)
        return frozenset(wanted) if one is None else frozenset(wanted) & {one}

    def _of(self, kind: ResourceKind) -> Record:
        """What is open of the organisation's subscriptions, and of the jobs and deliveries made from them."""
        reach = reach_of(self.caller, Action.READ, kind)
        if reach is None:
            return NOTHING
        if reach == "own":  # its owner is in the query already
            return {}
        if self.caller.entitlements.unlimited:
            return {}
        field = "filters." if kind is ResourceKind.SUBSCRIPTION else ""
        return {"$or": [{"owner": self.caller.id}, *self._by_trials(field), *self._by_owner(field)]}

    def _by_trials(self, field: str) -> list[Record]:
        """That name trials, all of which are open; those open in part only with sites that are."""
        own = self.caller.entitlements
        if own.own_record_only:
            return []
        trials, sites = f"{field}trials", f"{field}sites"
        limited = set(own.sites)
        named: Record = {f"{trials}.0": {"$exists": True}}
        if own.trials == ALL:
            found = [{**named, trials: {"$nin": sorted(limited)}}]
        else:
            whole = sorted(set(own.trials) - limited)
            found = [{**named, trials: {"$not": {"$elemMatch": {"$nin": whole}}}}]
        for trial in sorted(limited):
            if own.covers_trial(trial):
                among: Record = {"$not": {"$elemMatch": {"$nin": sorted(own.sites[trial])}}}
                found.append({trials: [trial], f"{sites}.0": {"$exists": True}, sites: among})
        return found

    def _by_owner(self, field: str) -> list[Record]:
        """That name no trial, and so show what their owner sees: of owners who see no more."""
        return [{"owner": {"$in": self._narrower}, f"{field}trials": []}] if self._narrower else []

    @cached_property
    def _narrower(self) -> list[str]:
        if self.caller.entitlements.own_record_only:
            return []
        query: Record = {"organisation": self.caller.organisation}
        if self.caller.entitlements.trials != ALL:
            query["trials"] = {"$ne": ALL}
        shown = dict.fromkeys(("trials", "sites", "subject", "audience"), 1)
        found = self.database.users.find(query, shown).sort("_id", 1).limit(NARROWER_AT_MOST)
        own = self.caller.entitlements
        return [user["_id"] for user in found if own.includes(Entitlements.from_record(user))]

    @property
    def _documents(self) -> Record:
        own = self.caller.entitlements
        if own.own_record_only:
            return {"trial": {"$in": list(own.trials)}, "subject": own.subject} if own.subject else NOTHING
        whole: Record = (
            {"trial": {"$nin": sorted(own.sites)}}
            if own.trials == ALL
            else {"trial": {"$in": sorted(set(own.trials) - set(own.sites))}}
        )
        if not own.sites:
            return {} if own.trials == ALL else whole
        parts: list[Record] = [
            {"trial": trial, "site": {"$in": sorted(sites)}}
            for trial, sites in own.sites.items()
            if own.covers_trial(trial)
        ]
        return {"$or": [whole, *parts]}
