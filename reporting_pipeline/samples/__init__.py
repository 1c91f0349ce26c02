"""Sample trials: CDISC Pilot 01 and a synthetic one, with generated files. For the demo and the tests.

Belongs here: data, made the same each time from seeds. Does not: a path into the product that only
samples have; they come in as any documents do (`intake`, `stores`).
"""
