"""Authentication for httpx, sync and async: the key is the credential, tokens a cache of it.

Each flow is a generator that yields requests and receives responses (`httpx.Auth`), so one
text serves both kinds of client.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Generator

import httpx

from ._answers import problem_code, read_answer, refusal
from ._bounds import UNBOUNDED
from ._canonical import b64, b64url
from ._errors import NotAuthenticated, OtherAccount
from ._keys import Signer
from ._proofs import make_proof
from ._session import Session, signed_statement

Flow = Generator[httpx.Request, httpx.Response, None]
_MAX_TRIES = 4


class NonceJar:
    """The newest proof nonce this server gave; it dates our proofs in the server's time."""

    def __init__(self) -> None:
        self.newest: str | None = None

    def learn(self, response: httpx.Response) -> None:
        self.newest = response.headers.get("DPoP-Nonce", self.newest)


class KeyProof(httpx.Auth):
    """A proof by the key alone: for a device that has no account yet (pairing)."""

    def __init__(self, signer: Signer, origin: str, nonces: NonceJar) -> None:
        self._signer = signer
        self._origin = origin
        self._nonces = nonces

    def sync_auth_flow(self, request: httpx.Request) -> Flow:
        """As the base class does with `requires_response_body`, but for an answer that its caller
        wants to read part by part."""
        flow = self.auth_flow(request)
        try:
            request = next(flow)
            while True:
                response = yield request
                if not _is_streamed(response):
                    response.read()
                request = flow.send(response)
        except StopIteration:
            return

    async def async_auth_flow(
        self, request: httpx.Request
    ) -> AsyncGenerator[httpx.Request, httpx.Response]:
        flow = self.auth_flow(request)
        try:
            request = next(flow)
            while True:
                response = yield request
                if not _is_streamed(response):
                    await response.aread()
                request = flow.send(response)
        except StopIteration:
            return

    def auth_flow(self, request: httpx.Request) -> Flow:
        for _ in range(_MAX_TRIES):
            request.headers["DPoP"] = self._proof(request, token=None)
            response = yield request
            self._nonces.learn(response)
            if problem_code_of_401(response) not in ("use_dpop_nonce", "proof_replayed"):
                return

    def _proof(self, request: httpx.Request, *, token: str | None) -> str:
        path = request.url.raw_path.split(b"?")[0].decode("ascii")
        url = self._origin + path
        return make_proof(self._signer, request.method, url, token=token, nonce=self._nonces.newest)


class DeviceAuth(KeyProof):
    """Bearer token and proof on every request; renews itself by refresh, then by login.

    After a request through this object either its response is not 401, or key and tokens
    were all refused. NotAuthenticated is raised when the login itself is refused. A clock
    that runs wrong does no harm: expiry is learnt from the server's answers alone.
    """

    def __init__(
        self,
        signer: Signer,
        origin: str,
        nonces: NonceJar | None = None,
        *,
        session: Session | None = None,
        on_session: Callable[[Session], None] | None = None,
    ) -> None:
        super().__init__(signer, origin, nonces or NonceJar())
        self._session = session
        self._on_session = on_session

    def auth_flow(self, request: httpx.Request) -> Flow:
        session = self._session or (yield from self._login())
        may_renew = True
        for _ in range(_MAX_TRIES):
            request.headers["Authorization"] = f"Bearer {session.access_token}"
            request.headers["DPoP"] = self._proof(request, token=session.access_token)
            response = yield request
            self._nonces.learn(response)
            code = problem_code_of_401(response)
            if code is None:
                return
            if code in ("use_dpop_nonce", "proof_replayed"):
                continue
            if not may_renew:
                return
            may_renew = False
            session = yield from self._renew(session)

    def adopt(self, session: Session) -> None:
        """Use `session` from now on, and hand it to whoever keeps it."""
        if self._on_session is not None:
            self._on_session(session)  # refuses one that is not for this device
        self._session = session

    def _renew(self, session: Session) -> Generator[httpx.Request, httpx.Response, Session]:
        renewed = yield from self._refresh(session)
        return renewed or (yield from self._login())

    def _refresh(
        self, session: Session
    ) -> Generator[httpx.Request, httpx.Response, Session | None]:
        """New tokens, or None when the key has to speak again."""
        for _ in range(_MAX_TRIES):
            request = self._post("/auth/refresh", {"refresh_token": session.refresh_token})
            request.headers["DPoP"] = self._proof(request, token=session.refresh_token)
            response = yield request
            self._nonces.learn(response)
            if response.is_success:
                return self._adopted(response)
            if response.status_code in (429, 503):
                raise refusal(response)  # the key's turn would only be more of the same
            # A duplicate of an older refresh says nothing about this one: prove anew.
            if problem_code_of_401(response) not in ("use_dpop_nonce", "stale_request"):
                return None
        return None

    def _login(self) -> Generator[httpx.Request, httpx.Response, Session]:
        """Once more if the first is refused: a challenge may have come too late, or been used up by
        a copy of this very message."""
        try:
            return (yield from self._login_once())
        except NotAuthenticated as refused:
            if refused.code != "login_failed":
                raise
        return (yield from self._login_once())

    def _login_once(self) -> Generator[httpx.Request, httpx.Response, Session]:
        thumbprint = self._signer.public.thumbprint
        who = {"key_thumbprint": b64url(thumbprint)}
        asked = yield self._post("/auth/challenge", who)
        self._nonces.learn(asked)
        if not asked.is_success:
            raise refusal(asked)
        challenge = read_answer(asked).data("challenge")
        statement = signed_statement("login", self._origin, challenge, thumbprint)
        signature = b64(self._signer.sign(statement))
        body = {**who, "challenge": b64(challenge), "signature": signature}
        response = yield self._post("/auth/login", body)
        self._nonces.learn(response)
        if not response.is_success:
            raise refusal(response)
        return self._adopted(response)

    def _adopted(self, response: httpx.Response) -> Session:
        session = Session.read(read_answer(response))
        known = self._session
        if known and (known.user_id, known.device_id) != (session.user_id, session.device_id):
            raise OtherAccount("the server answers for another account")
        self.adopt(session)
        return session

    def _post(self, path: str, body: dict[str, str]) -> httpx.Request:
        return httpx.Request("POST", self._origin + path, json=body)


def _is_streamed(response: httpx.Response) -> bool:
    return response.is_success and UNBOUNDED in response.request.extensions


def problem_code_of_401(response: httpx.Response) -> str | None:
    return problem_code(response) if response.status_code == 401 else None
