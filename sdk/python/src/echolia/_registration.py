"""How a device comes to an account of its own, and tells the server its sealed name."""

from __future__ import annotations

import hashlib
import itertools
import sys
from typing import Any

from ._answers import Answer
from ._calls import Call, Exchange, Proof
from ._errors import AnswerInvalid, Refused
from ._keyring import Keyring
from ._keys import wrapping_statement
from ._patience import OnWait, unnoticed
from ._session import Session, signed_statement

_PLATFORMS = {"darwin": "macos", "win32": "windows"}
# The most the protocol knows: some half a minute. A server that asks for more is no server of it.
_MAX_DIFFICULTY = 24
_TRIES_PER_SECOND = 1_000_000
_TRIES = 3


def register(
    keyring: Keyring, sealed_name: str | None = None, *, on_work: OnWait = unnoticed
) -> Exchange[Session]:
    """The account of this key: made now, or the one it already has (then only renamed).

    `on_work` is told about how long it takes, if the server asks for work."""
    for left in reversed(range(_TRIES)):
        try:
            return (yield from _register_once(keyring, sealed_name, on_work))
        except Refused as refusal:
            # The answer to an earlier try was lost, and its challenge is spent.
            if refusal.code != "challenge_invalid" or not left:
                raise
    raise AssertionError("unreachable")


def _register_once(keyring: Keyring, sealed_name: str | None, on_work: OnWait) -> Exchange[Session]:
    asked = yield Call("POST", "/auth/register/challenge", {}, proof=Proof.NONE)
    challenge = asked.data("challenge")
    thumbprint = keyring.signing.public.thumbprint
    statement = signed_statement("register", keyring.origin, challenge, thumbprint)
    body: dict[str, Any] = {
        **device_fields(keyring),
        "challenge": challenge,
        "signature": keyring.signing.sign(statement),
    }
    if sealed_name is not None:
        body["device_name"] = sealed_name
    if asked.has("proof_of_work"):
        difficulty = _difficulty(asked.object("proof_of_work"))
        on_work(2.0**difficulty / _TRIES_PER_SECOND, "proof_of_work")
        body["proof_of_work"] = solve(challenge, difficulty)
    answer = yield Call("POST", "/auth/register", body, proof=Proof.NONE)
    return Session.read(answer)


def device_fields(keyring: Keyring) -> dict[str, Any]:
    """What register and join both say about this device."""
    signing, wrapping = keyring.signing, keyring.wrapping.public
    statement = wrapping_statement(keyring.origin, signing.public, wrapping)
    return {
        "public_key": signing.public.pem,
        "wrapping_key": wrapping.pem,
        "wrapping_key_signature": signing.sign(statement),
        "device_type": "desktop",
        "platform": _PLATFORMS.get(sys.platform, "linux"),
    }


def _difficulty(asked: Answer) -> int:
    difficulty = asked.number("difficulty")
    if asked.text("algorithm") != "sha256" or not 0 <= difficulty <= _MAX_DIFFICULTY:
        raise AnswerInvalid("the server asks for a proof of work this client does not do")
    return difficulty


def solve(challenge: bytes, difficulty: int) -> bytes:
    """Bytes that, hashed behind the challenge, give as many zero bits at the front."""
    begun = hashlib.sha256(challenge)
    for number in itertools.count():
        solution = number.to_bytes(8, "big")
        attempt = begun.copy()
        attempt.update(solution)
        if int.from_bytes(attempt.digest(), "big") >> (256 - difficulty) == 0:
            return solution
    raise AssertionError("unreachable")
