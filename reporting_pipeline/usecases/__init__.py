"""What the API, the console and the command line all do, each in one function.

Belongs here: a deed with its checks and its order (subscribe, requeue, open, register, correct, try) and
its row in the audit log, over `stores`, `intake`, `reports` and `domain`; the errors say what stands
against it. Does not belong here: who may ask (`callers` looks, for the API and the
console), routes, commands, drawing, raw access to a store, and what moves several records together
(`stores.lifecycle`).
"""
