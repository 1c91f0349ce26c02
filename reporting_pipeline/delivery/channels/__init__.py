"""The ways out, one module each, behind the protocol in `channel`.

Add a channel here: a `Sender`, named in `deliverer`. Keep out what a message says (`message`, `sender`) and
every decision whether it may be sent.
"""
