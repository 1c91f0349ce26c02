"""Backup and restore: every collection, encrypted, with a list of the bucket's objects.

    vault.py     where parts lie (a folder, or a prefix in S3) and how each is sealed
    take.py      a backup: the database, then the list of the bucket's objects
    restore.py   into an empty database, verified first; what may have been sent since awaits a release

Not here: the objects themselves (versioning and replication of the bucket keep those) and Dagster's own
storage (`pg_dump`; it can be lost, since partitions are confirmed again from `asset_results`).
"""
