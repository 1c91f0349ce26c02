"""One module a file format: its bytes to `Read` tables, which `intake.sdtm.tables` makes tables of SDTM of.

xport           SAS transport (XPT), version 5 and 8, several members in one file
dataset_json    CDISC Dataset-JSON 1.1, its line form, and 1.0
delimited       CSV and its relatives
cells           values to columns, alike for all of them
"""
