"""The `jobs` collection: what is due to whom, and what became of it. The only writer of a job's state.

    pending --> processing --> rendered --> delivering --> completed | failed   (by its deliveries)
       |            |  \\------- if due -------/
       \\------------+--> failed (rendering) --requeue--> pending
    any that waits --> skipped, with a reason

`plan` adds jobs, `settle` moves them, `reads` looks at them, `broken` ends what nobody can read, `states`
names the groups of states. What moves a job and its deliveries together is not here but in
`stores.lifecycle`, and what a subscription, an edition or a delivery is, in stores of their own.

A rendered report is a fact, whoever made it, so nothing here is claimed: a run renders a range of
subscriptions, and two that render the same one make the same file.
"""

from reporting_pipeline.stores.jobs.broken import end_without_report
from reporting_pipeline.stores.jobs.plan import (
    BATCH,
    CLOCK_MARGIN,
    PlanOutcome,
    plan_due_jobs,
    plan_edition,
    plan_follow_ups,
    plan_restatements,
    save_jobs,
)
from reporting_pipeline.stores.jobs.reads import (
    any_in,
    count_jobs_of,
    editions_waited_for,
    failed_on_demand,
    failed_renderings,
    get_job,
    jobs_of,
    jobs_with_report,
    jobs_without_deliveries,
    last_rendered,
    lately_of,
    latest_of_each,
    newest_of,
    newest_on_demand,
    subscriptions_of,
    traced_jobs,
    waiting_in,
    waiting_on_demand,
    with_omissions,
)
from reporting_pipeline.stores.jobs.settle import (
    awaiting_release_of,
    deliveries_stand,
    end_forgotten,
    jobs_begin,
    mark_failed,
    mark_processing,
    mark_rendered,
    mark_skipped,
    refuse,
    release,
    requeue,
    skip_unchanged,
)

__all__ = [
    "BATCH",
    "CLOCK_MARGIN",
    "PlanOutcome",
    "any_in",
    "awaiting_release_of",
    "count_jobs_of",
    "deliveries_stand",
    "editions_waited_for",
    "end_forgotten",
    "end_without_report",
    "failed_on_demand",
    "failed_renderings",
    "get_job",
    "jobs_begin",
    "jobs_of",
    "jobs_with_report",
    "jobs_without_deliveries",
    "last_rendered",
    "lately_of",
    "latest_of_each",
    "mark_failed",
    "mark_processing",
    "mark_rendered",
    "mark_skipped",
    "newest_of",
    "newest_on_demand",
    "plan_due_jobs",
    "plan_edition",
    "plan_follow_ups",
    "plan_restatements",
    "refuse",
    "release",
    "requeue",
    "save_jobs",
    "skip_unchanged",
    "subscriptions_of",
    "traced_jobs",
    "waiting_in",
    "waiting_on_demand",
    "with_omissions",
]
