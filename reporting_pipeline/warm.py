"""What the process that runs are forked from imports: everything that a run may come to need.

`dagster.yaml` names it (`dagster_instance.warm_runs`). The definitions alone are light, so that a process
that does one thing imports what that takes; a fork has all of it already, and pays for none.
"""

from __future__ import annotations

import reporting_pipeline.assets.report_batch
import reporting_pipeline.definitions
import reporting_pipeline.delivery.channels.deliverer
import reporting_pipeline.delivery.notices.due
import reporting_pipeline.delivery.sender.worker
import reporting_pipeline.domain.tidying
import reporting_pipeline.operations.reconciliation.run
import reporting_pipeline.operations.retention.run
import reporting_pipeline.reports.axes  # noqa: F401
