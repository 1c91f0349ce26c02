"""What stands behind the links of a message: reports, and leaving a subscription.

Keep out: HTTP, which is `api/routes/mail_links.py`.
"""
