"""The delivery ledger: one record per (job, channel, recipient), begun, sent and settled.

    pending --begin--> sending --settle--> sent | pending | failed | unknown

`plan` adds records, `combined` puts those of one reader in one mail, `moved` gives them their user's new
address, `draw` begins them, `settle` writes what became of them and of their jobs, `recover` brings back what
a dead worker held, `broken` ends what nobody can read, `channels` keeps what is halted or paused. Sending
itself is not here: it is the package `delivery`.

Beginning one counts `attempt` up; only the holder of that number may write what became of it.
`next_attempt_at` is the one time that matters: when a pending one is due, when a sending one expires,
when an unknown one is sent again.
"""

from reporting_pipeline.stores.deliveries.broken import end_never_drawn, end_unreadable
from reporting_pipeline.stores.deliveries.channels import (
    closed_channels,
    halt_channel,
    halted_channels,
    pause_channel,
    resume_channel,
)
from reporting_pipeline.stores.deliveries.combined import (
    in_mail,
    jobs_on_the_way,
    leave_mail,
    put_in_one_mail,
    waiting_with,
)
from reporting_pipeline.stores.deliveries.draw import (
    Due,
    begin,
    count_due,
    due_cadences,
    due_filter,
    postpone,
)
from reporting_pipeline.stores.deliveries.moved import follow, move_waiting
from reporting_pipeline.stores.deliveries.plan import (
    UNTRIED,
    Target,
    add_delivery,
    new_delivery,
    new_delivery_id,
    plan_deliveries,
    plan_for_jobs,
    recipients_of,
)
from reporting_pipeline.stores.deliveries.reads import deliveries_of_job
from reporting_pipeline.stores.deliveries.recover import CUT_OFF, rescue
from reporting_pipeline.stores.deliveries.settle import (
    ATTEMPTS_KEPT,
    Settlement,
    apply_evidence,
    settle,
    settle_delivering_jobs,
    settle_jobs,
    suppress,
    suppress_waiting,
)
from reporting_pipeline.stores.jobs.settle import deliveries_stand, jobs_begin
from reporting_pipeline.stores.jobs.states import FOR_RIGHTS

__all__ = [
    "ATTEMPTS_KEPT",
    "CUT_OFF",
    "FOR_RIGHTS",
    "UNTRIED",
    "Due",
    "Settlement",
    "Target",
    "add_delivery",
    "apply_evidence",
    "begin",
    "closed_channels",
    "count_due",
    "deliveries_of_job",
    "deliveries_stand",
    "due_cadences",
    "due_filter",
    "end_never_drawn",
    "end_unreadable",
    "follow",
    "halt_channel",
    "halted_channels",
    "in_mail",
    "jobs_begin",
    "jobs_on_the_way",
    "leave_mail",
    "move_waiting",
    "new_delivery",
    "new_delivery_id",
    "pause_channel",
    "plan_deliveries",
    "plan_for_jobs",
    "postpone",
    "put_in_one_mail",
    "recipients_of",
    "rescue",
    "resume_channel",
    "settle",
    "settle_delivering_jobs",
    "settle_jobs",
    "suppress",
    "suppress_waiting",
    "waiting_with",
]
