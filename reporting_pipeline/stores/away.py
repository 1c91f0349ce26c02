"""When a store does not answer: the errors that mean just that, whatever was asked of it."""

from __future__ import annotations

from botocore.exceptions import ConnectionError as BotoConnectionError
from botocore.exceptions import HTTPClientError
from pymongo.errors import ConnectionFailure

#: The connection failed, broke, or nothing came in time. Trying again later may do.
AWAY = (ConnectionFailure, BotoConnectionError, HTTPClientError)


def away(error: BaseException) -> str:
    """One line about an error of AWAY: which store, and how it was noticed."""
    store = "MongoDB" if isinstance(error, ConnectionFailure) else "S3"
    return f"{store} does not answer ({type(error).__name__})"
