"""SDTM as it is exchanged: tables in XPT, Dataset-JSON or CSV, one domain each, to documents.

`tables` reads files, `domains` says which column becomes which field, `supplements` joins SUPP--,
`trial` reads a trial's facts and sites, `documents` puts them together.
"""
