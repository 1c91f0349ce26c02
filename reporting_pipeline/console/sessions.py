"""The browser's side of a session: its cookie, its forms' token, and who is behind a request."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from datetime import datetime

from itsdangerous import BadSignature, Signer
from starlette.requests import Request
from starlette.responses import Response

from reporting_pipeline.domain.access import User
from reporting_pipeline.domain.keyring import Keyring
from reporting_pipeline.settings import Settings
from reporting_pipeline.stores import sessions, users
from reporting_pipeline.stores.mongo import Database
from reporting_pipeline.stores.sessions import LONGEST, ConsoleSession


@dataclass(frozen=True)
class Visitor:
    """Who is behind a request: the person as of now, and their session."""

    user: User
    session: ConsoleSession
    done: str = ""  # what a form before this page has done (`wording.DONE`)

    @property
    def csrf(self) -> str:
        return self.session.csrf

    def sent_by_us(self, token: object) -> bool:
        """Whether a form came from a page of this session."""
        return isinstance(token, str) and hmac.compare_digest(token.encode(), self.session.csrf.encode())


class Cookies:
    """Signs and reads the cookie that carries a session's token."""

    def __init__(self, settings: Settings) -> None:
        self._secure = settings.public_url.startswith("https:")
        # A key of its own, derived, so that a cookie can never pass for a link or a bearer token.
        keys = Keyring.read(settings.link_secret.get_secret_value()).derived("console-session")
        older = [key for name, key in keys.keys.items() if name != keys.current]
        self._signer = Signer([*reversed(older), keys.keys[keys.current]], salt="session")  # the last signs

    @property
    def name(self) -> str:
        """`__Host-`: set by this host alone, for every path, over TLS only."""
        return "__Host-session" if self._secure else "session"

    def write(self, response: Response, token: str) -> None:
        response.set_cookie(
            self.name,
            self._signer.sign(token).decode(),
            max_age=int(LONGEST.total_seconds()),
            httponly=True,
            secure=self._secure,
            # Lax, not Strict: a link in a mail leads to the page and not to the sign-in.
            samesite="lax",
        )

    def clear(self, response: Response) -> None:
        response.delete_cookie(self.name, httponly=True, secure=self._secure, samesite="lax")

    def read(self, request: Request) -> str | None:
        """The token of the request's cookie; None without one or when it was not signed here."""
        given = request.cookies.get(self.name, "")
        if not given or len(given) > 400:
            return None
        try:
            return self._signer.unsign(given).decode()
        except (BadSignature, UnicodeDecodeError):
            return None


def visitor_of(
    database: Database, cookies: Cookies, request: Request, now: datetime, *, by_themselves: bool = True
) -> Visitor | None:
    """The signed-in person of a request; None when nobody is, or they were deactivated since.

    What a page asks for and not the person (not `by_themselves`) keeps no session from ending.
    """
    token = cookies.read(request)
    if token is None:
        return None
    session = sessions.session_of(database, token, now, used=by_themselves)
    if session is None:
        return None
    user = users.get_user(database, session.user)
    if user is None or not user.active:
        sessions.end_session(database, session.id)
        return None
    return Visitor(user, session)
