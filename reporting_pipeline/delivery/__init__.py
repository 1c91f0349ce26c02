"""Bringing a report to its recipient, and what comes back. Knows nothing of Dagster.

    outbound   HTTP to others: deadline, no redirects, public hosts only; whoever asks anybody outside
    message    what a recipient reads, whatever the channel
    rights     whether a delivery may go out, or its link be opened, at this moment
    links      signed links, what stands behind them, unsubscribing
    channels   outbox, SMTP, SendGrid, Slack, webhooks, and SendGrid's events
    notices    what is told beside reports: failures, rights withdrawn, reports that never came
    sender     the worker that empties the ledger

Each imports from those above it only: `sender` from all but `notices`. Keep out: the ledger itself and
every other record (`stores`), when something is due (`domain`), what a report contains (`reports`).
"""
