"""Commands of a deployment: they take its stores from the settings and touch nothing else.

Belongs here: what an operator types beside a running deployment, or a cron does. Does not: anything that
starts a server, writes a file into a home, or needs the embedded servers or the samples to be installed;
that is `cli/local/`.
"""
