"""MongoDB- and S3-protocol servers from pip wheels, as separate processes. Only the CLI starts them.

`servers` is the door: start, status, stop. `processes` knows how to run a server of ours detached and
find it again; `secantus` and `seaweed` know one server each.

Belongs here: starting, finding and stopping them, never harming a process that is not ours or that serves
somebody. Does not: anything that a deployment with servers of its own needs; nothing here talks to Dagster.
"""
