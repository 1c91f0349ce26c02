"""The software-defined assets of one cadence and the batch mechanism they share.

Belongs here: what one partition of an asset is made from and how, its checks, its metadata. Does not:
when it is made (`automation`), how a report looks (`reports`), what leans on Dagster's internals
(`dagster_instance`).
"""
