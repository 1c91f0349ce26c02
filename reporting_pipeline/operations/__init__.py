"""What is done with a running deployment as a whole: migrations, metrics, traces, logs, keeping and deleting.

Belongs here: work on all of a deployment's data or processes, for an operator or a cron; it may touch
MongoDB and S3 directly, as `stores` does, because it sees records of every kind at once. Does not: what
one report, one delivery or one route needs (`usecases/`, `delivery/`, `api/`), how a collection is read
and written (`stores/`), rules that can be decided without a look (`domain/`), and schedules (`automation/`).
"""
