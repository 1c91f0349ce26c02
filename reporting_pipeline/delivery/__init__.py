"""Channels that carry a report to its recipient. Knows nothing of Dagster."""
