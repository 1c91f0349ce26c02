"""What the API and the console do for somebody who asks: rights and quotas first, then the deed.

Belongs here: who may do it (`context.require`), limits, what is wrong with which field, said as a
`problems.Problem` that the API answers and a form shows; the shapes (`shapes`) that both take and give.
Does not belong here: addresses, forms, status lines and anything of a web framework (`api`, `console`), and
the deed itself, which the command line does, too (`usecases`).
"""
