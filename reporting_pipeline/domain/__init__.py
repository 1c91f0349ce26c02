"""The rules of the product as plain Python: no Dagster, no input or output, nothing of ours imported."""
