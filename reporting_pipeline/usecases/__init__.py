"""What the API, the console and the command line all do, each in one function.

Belongs here: a deed with its checks and its order (register, correct, withdraw, try), over `stores`,
`intake`, `reports` and `domain`. Does not belong here: routes, commands, drawing, raw access to a store.
"""
