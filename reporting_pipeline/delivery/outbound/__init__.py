"""HTTP requests to hosts that are not ours.

Here: the client, its deadline, the rule which hosts are public. Not here: what an answer means, which
each channel knows of its own.
"""
