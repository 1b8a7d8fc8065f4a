"""The driver that carries calls over httpx. Only this file waits for the network."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import httpx

from ._answers import Answer, read_answer, refusal
from ._auth import DeviceAuth, KeyProof, NonceJar
from ._bounds import UNBOUNDED, bound
from ._calls import Call, Exchange, Proof, T
from ._errors import AnswerInvalid, Offline, RateLimited, Refused
from ._formats import JSON, MESSAGEPACK, write
from ._keys import Signer
from ._patience import OnWait, is_worth_waiting, pause, unnoticed
from ._session import Session

_TRIES = 3
# A held request may last 25 s by protocol; the answer needs time to travel as well.
_SILENCE_SECONDS = 40.0
_CONNECT_SECONDS = 5.0


class Driver:
    """Carries calls of one device to its server. Not for several threads at once."""

    def __init__(
        self,
        signer: Signer,
        origin: str,
        transport: httpx.BaseTransport | None,
        *,
        session: Session | None = None,
        on_session: Callable[[Session], None] | None = None,
        on_wait: OnWait = unnoticed,
    ) -> None:
        self._on_wait = on_wait
        nonces = NonceJar()
        self._device = DeviceAuth(signer, origin, nonces, session=session, on_session=on_session)
        self._auth: Mapping[Proof, httpx.Auth | None] = {
            Proof.DEVICE: self._device,
            Proof.KEY: KeyProof(signer, origin, nonces),
            Proof.NONE: None,
        }
        self._media_type = MESSAGEPACK
        self._http = httpx.Client(
            base_url=origin,
            transport=transport,
            timeout=_timeout(_SILENCE_SECONDS),
            # Packed, a few bytes could become gigabytes; ciphertext does not shrink anyway.
            headers={"Accept-Encoding": "identity"},
            event_hooks={"response": [bound]},
            # Plain http has no certificates to check, and loading the roots takes 0.1 s.
            verify=origin.startswith("https:"),
        )

    def adopt(self, session: Session) -> None:
        self._device.adopt(session)

    def run(self, exchange: Exchange[T]) -> T:
        """What `exchange` returns; a refusal is raised inside it, at the call refused."""
        try:
            call = next(exchange)
            while True:
                try:
                    answer = self.send(call)
                except Refused as refused:
                    call = exchange.throw(refused)
                else:
                    call = exchange.send(answer)
        except StopIteration as stop:
            value: T = stop.value
            return value

    def send(self, call: Call) -> Answer:
        """The answer to one call; every call is safe to repeat. A broken connection is tried three
        times, a server that is busy or has had enough as long as `_patience` says."""
        tried = 0
        while True:
            tried += 1
            try:
                return self._over_network(call)
            except RateLimited as limited:
                if not is_worth_waiting(limited.retry_after, tried):
                    raise
                seconds = pause(limited.retry_after, tried)
                self._on_wait(seconds, limited.code)
                time.sleep(seconds)

    def _over_network(self, call: Call) -> Answer:
        for left in reversed(range(_TRIES)):
            try:
                return self._once(call)
            except (httpx.ConnectError, httpx.ConnectTimeout):
                raise Offline("the server cannot be reached") from None
            except httpx.TransportError:
                if not left:
                    raise Offline("the connection to the server broke") from None
                time.sleep(random.uniform(0.01, 0.1))  # noqa: S311 - jitter, not a secret
        raise AssertionError("unreachable")

    def _once(self, call: Call) -> Answer:
        response = self._asked(call)
        if response.status_code == 415 and self._media_type == MESSAGEPACK:
            # An older server, which has read nothing of it.
            self._media_type = JSON
            response = self._asked(call)
        if not response.is_success:
            raise refusal(response)
        return read_answer(response)

    def _asked(self, call: Call) -> httpx.Response:
        written = write(call.body, self._media_type)
        return self._http.request(
            call.method,
            call.path,
            content=written.content,
            headers=written.headers,
            params=call.params,
            auth=self._auth[call.proof],
        )

    @contextmanager
    def stream(
        self,
        call: Call,
        *,
        media_type: str | None = None,
        silence_seconds: float = _SILENCE_SECONDS,
    ) -> Iterator[Iterator[bytes]]:
        """One answer's bytes as they come, however many. Refused; AnswerInvalid if they are of
        another type; Offline when they stop coming."""
        written = write(call.body, self._media_type)
        try:
            with self._http.stream(
                call.method,
                call.path,
                content=written.content,
                headers=written.headers,
                auth=self._auth[call.proof],
                timeout=_timeout(silence_seconds),
                extensions={UNBOUNDED: True},
            ) as response:
                if not response.is_success:
                    response.read()
                    raise refusal(response)
                if media_type is not None and media_type != _media_type(response):
                    raise AnswerInvalid("the server's answer is of another type")
                yield response.iter_raw()
        except (httpx.ConnectError, httpx.ConnectTimeout):
            raise Offline("the server cannot be reached") from None
        except httpx.TransportError:
            raise Offline("the connection to the server broke") from None

    def close(self) -> None:
        self._http.close()


def _media_type(response: httpx.Response) -> str:
    return str(response.headers.get("Content-Type", "")).partition(";")[0].strip().lower()


def _timeout(silence_seconds: float) -> httpx.Timeout:
    return httpx.Timeout(silence_seconds, connect=_CONNECT_SECONDS)
