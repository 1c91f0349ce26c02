"""The rules of the product as plain Python: no Dagster, no input or output, nothing of ours imported.

Belongs here: whatever can be decided from its arguments, with time among them, and the typed records that are
passed about. Does not: anything that opens a file or a connection, looks at a clock, or knows a framework.
"""
