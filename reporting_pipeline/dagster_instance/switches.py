"""Whether a person turned a sensor off in Dagster's UI.

Read by the values that Dagster keeps, without its private names: assets ask here whatever storages
the deployment chose.
"""

from dagster import DagsterInstance


def is_turned_off(instance: DagsterInstance, sensor: str) -> bool:
    """Whether the sensor of that name was turned off; one that nobody touched is on."""
    return any(
        (one.instigator_type.value, one.instigator_name, one.status.value) == ("SENSOR", sensor, "STOPPED")
        for one in instance.all_instigator_state()
    )
