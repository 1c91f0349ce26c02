"""`reporting-pipeline`: the command line of a deployment, and the only place that starts servers."""

from reporting_pipeline.cli.app import app

__all__ = ["app"]
