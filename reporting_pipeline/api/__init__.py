"""The FastAPI sidecar: writes intent to MongoDB, never calls Dagster."""
