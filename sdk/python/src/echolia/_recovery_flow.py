"""Recovery as exchanges with the server (spec/recovery.md). Each may be repeated."""

from __future__ import annotations

from typing import Any

from ._calls import Call, Exchange, Proof
from ._errors import RecoveryDelayed, RecoveryRefused, Refused
from ._keyring import Keyring
from ._recovery import KeptRecovery, RecoveryKeys
from ._registration import device_fields
from ._session import Session, signed_statement

_TRIES = 3


def put_recovery(
    keyring: Keyring, kept: KeptRecovery, *, delay_seconds: int | None, only_renew: bool = False
) -> Exchange[None]:
    """The phrase is the account's, and opens the vault keys of this keyring."""
    if keyring.user_id is None:
        raise ValueError("only a device of an account has anything to recover")
    body: dict[str, Any] = {
        "locator": kept.locator,
        "authenticator_hash": kept.authenticator_hash,
        "bundle": kept.seal_bundle(keyring.user_id, keyring.key_epochs),
    }
    if delay_seconds is not None:
        body["delay_seconds"] = delay_seconds
    if only_renew:
        body["only_renew"] = True
    yield Call("PUT", "/auth/recovery", body)


def remove_recovery() -> Exchange[None]:
    yield Call("DELETE", "/auth/recovery")


def cancel_recovery() -> Exchange[None]:
    """Whoever waits to come in has to begin anew."""
    yield Call("DELETE", "/auth/recovery/pending")


def recover(keyring: Keyring, keys: RecoveryKeys) -> Exchange[tuple[Session, bytes]]:
    """A session for this keyring's device, now of the account, and the bundle as it came.
    RecoveryRefused, RecoveryDelayed."""
    for left in reversed(range(_TRIES)):
        try:
            return (yield from _recover_once(keyring, keys))
        except Refused as refusal:
            # The answer to an earlier try was lost, and its challenge is spent.
            if refusal.code != "challenge_invalid" or not left:
                raise _meant(refusal) from None
    raise AssertionError("unreachable")


def _recover_once(keyring: Keyring, keys: RecoveryKeys) -> Exchange[tuple[Session, bytes]]:
    asked = yield Call("POST", "/auth/register/challenge", {}, proof=Proof.NONE)
    challenge = asked.data("challenge")
    thumbprint = keyring.signing.public.thumbprint
    statement = signed_statement("recover", keyring.origin, challenge, thumbprint)
    body = {
        **device_fields(keyring),
        "locator": keys.locator,
        "authenticator": keys.authenticator,
        "challenge": challenge,
        "signature": keyring.signing.sign(statement),
    }
    answer = yield Call("POST", "/auth/recover", body, proof=Proof.NONE)
    return Session.read(answer), answer.data("bundle")


def _meant(refusal: Refused) -> Exception:
    if refusal.code == "recovery_failed":
        return RecoveryRefused("this phrase opens nothing on this server")
    available_at = refusal.extras.get("available_at")
    if refusal.code == "recovery_delayed" and type(available_at) is int:
        return RecoveryDelayed(available_at)
    return refusal
