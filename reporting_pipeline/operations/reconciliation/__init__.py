"""Reconciliation: do the records and the bucket say the same? What differs is told, or mended where safe.

`names` reads what records name, `sorting` puts it in the order of the keys on disk, `inventory` reads an
S3 inventory in place of a listing, `confirm` looks again at what is suspected, `mend` mends, `run` is one
reconciliation.

Belongs here: looking at both sides, and what can be mended without a loss. Does not: deleting an object
(`operations.retention` alone does), making something again (the assets do, once its record is forgotten).
"""
