"""Everything that leans on Dagster's internals: storages of its instance that a deployment may choose.

Belongs here: what imports private names of Dagster (`dagster._core` and the like), each with a test that
pins it to Dagster's own behaviour. `dagster.yaml` chooses the storages, which is Dagster's own way to be
given one; without those lines nothing of this package but `events` and `switches` is imported, and the same
data is read and written by Dagster's own storages: slower, otherwise the same.

Does not belong here: assets, sensors, schedules, anything that knows trials or reports; and no function of
Dagster or of another library is replaced, here or elsewhere.
"""
