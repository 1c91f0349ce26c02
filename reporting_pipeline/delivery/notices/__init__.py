"""What people are told beside their reports.

One module for each notice, `mail` for what they share, `due` for the order. Keep out: the reports themselves.
"""
