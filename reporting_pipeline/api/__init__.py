"""The HTTP sidecar: takes subscriptions and questions, writes intent to MongoDB, never calls Dagster.

Belongs here: routes, the models of bodies and answers, who is asking, limits, the form of errors. Does not:
what the console and the command line do, too (`usecases`), rules and rights (`domain`), queries (`stores`).
"""
