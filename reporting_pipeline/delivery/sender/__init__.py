"""The worker: draws what is due, looks whether it may go, writes the messages, sends, writes down.

Keep out: how a channel sends (`channels`), and the ledger's rules (`domain.deliveries`, `stores`).
"""
