"""What is done with a running deployment as a whole: migrations, metrics, traces, logs, keeping and deleting.

Belongs here: work on all of a deployment's data or processes, for an operator or a cron. Does not: what
one report, one delivery or one route needs (`usecases/`, `delivery/`, `api/`), and how a collection is
read and written (`stores/`).
"""
