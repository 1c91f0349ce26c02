"""What people are told of an error that nobody foresaw: by what it is, never by what it quotes.

The text of such an error may quote a document, and whoever reads it (the reader of a report that could not be
made, Dagster's UI, a mail that tells of failures) may be somebody to whom that is closed.
"""

from __future__ import annotations

from botocore.exceptions import BotoCoreError, ClientError
from pymongo.errors import ConnectionFailure

#: Errors whose text names hosts, ports and files, and no data.
OF_MACHINES = (OSError, ConnectionFailure, BotoCoreError, ClientError)


def error_told(error: BaseException) -> str:
    """The error's class, with its text where that speaks of a connection or a file. The log has where it came
    from."""
    kind = type(error).__name__
    return f"{kind}: {error}" if isinstance(error, OF_MACHINES) else f"{kind}; the log says where"
