"""Commands for one machine: they start servers and processes, and lay out the home.

Belongs here: `demo`, `dev`, `servers` and what else may start something; they may use `embedded/` and
`samples/`, whose packages come with extras. Does not: a command of a deployment (`cli/operate/`). The
modules here are imported by the command that needs them, so that an installation without the extras works.
"""
