"""Documents on their way in: files and lines of others become documents in the shape of `domain.documents`.

Belongs here: reading SDTM (`sdtm/`), newline-delimited JSON and mapped tables, checking one document
field by field, telling what was understood and what has no place. Command line, API and samples use it.
Does not belong here: storing (`stores.documents`), rules about clinical values (`domain`), rendering.
Nothing here opens a connection; what cannot be read becomes a finding that names file, line and field.
"""
