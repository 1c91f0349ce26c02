"""What forms call their fields, where that is more than the fields' names say.

The same words stand at the field, in the list of what is wrong, and where two versions of a record are held
against each other: who is told of "First day" finds no "Starts on" in the form.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

SCHEDULE: Final[Mapping[str, str]] = {
    "report_type": "Report",
    "kinds": "Kinds of document",
    "cadence": "How often",
    "day_of_week": "Day of the week",
    "every_weeks": "Every how many weeks",
    "day_of_month": "Day of the month",
    "built_dates": "Days of the month",
    "built_time": "At",
    "window": "Each report covers the last closed",
    "time": "Time of day",
    "business_days": "When it falls on a day off",
    "holidays": "Country of the holidays",
    "starts_on": "First day",
    "ends_on": "Last day",
    "recipients": "Who gets it",
    "description": "Note",
}
PERSON: Final[Mapping[str, str]] = {
    "email": "Address",
    "combine_minutes": "Several reports in one mail",
    "roles": "May do",
    "trials": "May see",
    "sites": "Only some sites",
    "audience": "Reports are written for",
    "subject": "Own subject id",
    "active": "State",
}
ORGANISATION: Final[Mapping[str, str]] = {
    "allowed_domains": "Allowed mail domains",
    "allowed_hosts": "Allowed hosts of webhooks",
    "attachments": "The file of a report goes",
    "on_omission": "A report that cannot hold everything",
    "confirm_after_days": "Ask whether reports are still needed",
    "on_restatement": "When a closed period’s data changes",
    "content_gate": "When the data is out of the usual",
    "release": "Release before sending",
    "report_rows": "Rows that a report may have",
    "sealing": "Files of its reports",
    "report_colour": "Colour of its reports",
    "report_footer": "Words at the foot of each page",
    "mail_subject_prefix": "Before the subject of its mails",
    "mail_greeting": "Above the report in its mails",
    "mail_footer": "At the end of its mails",
    "logo": "Picture",
}
DOCUMENT: Final[Mapping[str, str]] = {"id": "Your own id", "data": "Payload", "reason": "Why"}
