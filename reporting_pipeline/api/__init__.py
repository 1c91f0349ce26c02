"""The HTTP sidecar: takes subscriptions and questions, writes intent to MongoDB, never calls Dagster."""
