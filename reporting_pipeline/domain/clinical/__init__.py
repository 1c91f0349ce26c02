"""What documents of a trial say, read with care: the rules a physician and a data manager would sign.

Belongs here: the payload of each kind of document (`payloads`), how single values are read (`dates`,
`numbers`, `units`, `codes`), what a measurement means (`measurements`), how a payload becomes rows of
the tidy tables (`reading`, `rows`, `results`), what was odd about it (`findings`), and the check on arrival
(`checking.check_payload`). docs/clinical-rules.md has a line for each rule.

Keep out: periods and arrival (`domain.tidying`), counting (`domain.figures`), anything drawn, any
input or output. Nothing here guesses: what is in doubt stays as it came, and is told.
"""
