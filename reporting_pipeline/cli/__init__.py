"""`reporting-pipeline`: the command line of a deployment, and the only place that starts servers.

Belongs here: arguments, words and exit codes; `operate/` for a deployment (stores from the settings),
`local/` for this machine (starts servers; its packages come with extras). Does not: the deed itself
(`usecases`, `operations`).
"""

from reporting_pipeline.cli.app import app

__all__ = ["app"]
