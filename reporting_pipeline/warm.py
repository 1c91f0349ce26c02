"""What the process that runs are forked from imports: everything that a run may come to need.

`dagster.yaml` names it (`dagster_instance.warm_runs`). The definitions alone are light, so that a process
that does one thing imports what that takes; a fork has all of it already, and pays for none.

The same holds for what the first S3 client of a process takes: it reads the description of the service and
names its hundred operations, 0.09 s of CPU of which a second one takes 0.01.
"""

from __future__ import annotations

import boto3

import reporting_pipeline.assets.report_batch
import reporting_pipeline.definitions
import reporting_pipeline.delivery.channels.deliverer
import reporting_pipeline.delivery.notices.due
import reporting_pipeline.delivery.sender.worker
import reporting_pipeline.domain.tidying
import reporting_pipeline.operations.reconciliation.run
import reporting_pipeline.operations.retention.run
import reporting_pipeline.reports.axes  # noqa: F401

# Of nobody: a run makes its own with the deployment's keys, and finds what this one has read.
boto3.client("s3", region_name="us-east-1", aws_access_key_id="none", aws_secret_access_key="none")  # noqa: S106
