"""Retention: what is past its time goes, in bounded batches, and is counted.

`rules.keep_rules` turns a deployment's settings into rules, `run.retain` applies them, kind by kind. Each
kind is a function of (Retention) that yields what it would delete and deletes it unless this is a dry
run, so that a dry run looks at exactly what a real one does. Records go before the files they name: who
dies in between leaves a file that nothing names, which the reconciliation finds.

Add a kind here when something new grows with every edition. What a single request cleans up after
itself does not belong here.
"""
