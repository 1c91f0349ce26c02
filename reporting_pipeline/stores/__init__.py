"""What is kept, and where: MongoDB collections with their indexes, and S3 objects. Imports domain only.

Belongs here: every query and every change, each state machine with its one writer, what must hold among many
processes at once. Does not: rules that need no look (`domain`), work over all collections (`operations`).
"""
