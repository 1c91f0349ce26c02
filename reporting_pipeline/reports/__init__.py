"""Report types and their output formats. Knows nothing of Dagster."""
