"""The two roles of pairing as exchanges with the server (spec/pairing.md).

Every step may be repeated with the same content, so a lost answer costs nothing.
"""

from __future__ import annotations

import hmac
import os
import time
from collections.abc import Generator, Mapping
from typing import Any

from ._answers import Answer
from ._calls import Call, Exchange, Proof
from ._canonical import b64url, id_bytes, sha256
from ._errors import (
    AnswerInvalid,
    PairingCancelled,
    PairingConflict,
    PairingError,
    PairingExpired,
    PairingForged,
    Refused,
    WrongCode,
)
from ._keyring import Keyring
from ._keys import PublicKey
from ._pairing import (
    Agreement,
    Invitation,
    Joiner,
    Parcel,
    Transcript,
    check_commitment,
    check_join,
    decode_payload,
    encode_payload,
)
from ._registration import device_fields
from ._session import Session

MAX_WRONG_CODES = 3
# The server holds a request until the *next* change. One that fell between two of ours would
# be waited out in full, so waits are short.
_WAIT_SECONDS = 2
_FAILURES: Mapping[str, type[PairingError]] = {
    "pairing_cancelled": PairingCancelled,
    "pairing_expired": PairingExpired,
    "pairing_conflict": PairingConflict,
}
_SENTENCES: Mapping[type[PairingError], str] = {
    PairingCancelled: "the pairing was cancelled",
    PairingExpired: "the link has expired: make a new one",
    PairingConflict: "a second device answered this link: make a new one",
}


class Inviter:
    """The existing device: shows a link, checks who answers, hands over the keys."""

    def __init__(self, keyring: Keyring) -> None:
        if keyring.user_id is None:
            raise ValueError("only a device of an account can invite")
        self._keyring = keyring
        self._user_id = keyring.user_id
        self._secret = os.urandom(32)
        self._nonce = os.urandom(32)
        self._invitation: Invitation | None = None
        self._agreement: Agreement | None = None
        self._joiner: Joiner | None = None
        self._approval: dict[str, Any] | None = None
        self._tries_left = MAX_WRONG_CODES

    @property
    def invitation(self) -> Invitation:
        if self._invitation is None:
            raise PairingError("no pairing was started")
        return self._invitation

    def start(self) -> Exchange[Invitation]:
        answer = yield Call("POST", "/auth/pairings", {})
        self._invitation = Invitation(
            origin=self._keyring.origin,
            pairing_id=answer.id("pairing_id"),
            secret=self._secret,
            existing_thumbprint=self._keyring.signing.public.thumbprint,
            commitment=sha256(self._nonce),
        )
        return self._invitation

    def wait_for_join(self, seconds: float) -> Exchange[None]:
        """A device that truly saw the link has joined, and our nonce is shown to it.

        May be asked again when an answer was lost; the device is then the same one or nobody.
        """
        self._check_tries()
        path = f"/auth/pairings/{self.invitation.pairing_id}"
        joined = yield from _poll(path, Proof.DEVICE, {"open"}, seconds)
        if joined.text("state") not in ("joined", "revealed"):
            raise AnswerInvalid("the server's answer has a bad state")
        joiner = _read_joiner(joined)
        if self._joiner not in (None, joiner):
            # Our nonce may be out. A device that comes after it could have searched for a key or
            # nonce that makes the codes equal.
            raise PairingForged("the server shows another device than before")
        transcript = self._transcript(joiner)
        check_join(transcript, joiner)
        if not joiner.recipient(self._keyring.origin).may_receive:
            raise PairingError("the new device has no key that this version can send secrets to")
        self._joiner = joiner
        self._agreement = transcript.reveal(self._nonce)
        yield from _step(Call("POST", f"{path}/reveal", {"nonce": self._nonce}))

    def approve(self, code: str) -> Exchange[None]:
        """The new device belongs to the account, if its code was typed right.

        WrongCode counts down; the third one cancels the pairing (PairingCancelled).
        """
        self._check_tries()
        if self._agreement is None or self._joiner is None:
            raise PairingError("no device has joined yet")
        if not hmac.compare_digest(code.strip().encode(), self._agreement.code.encode()):
            yield from self._wrong_code()
        if self._approval is None:
            self._approval = self._parcel(self._agreement, self._joiner)
        path = f"/auth/pairings/{self.invitation.pairing_id}/approve"
        yield from _step(Call("POST", path, self._approval))

    def cancel(self) -> Exchange[None]:
        self._tries_left = 0
        yield from _step(Call("DELETE", f"/auth/pairings/{self.invitation.pairing_id}"))

    def _wrong_code(self) -> Exchange[None]:
        self._tries_left -= 1
        if self._tries_left > 0:
            raise WrongCode(self._tries_left)
        self._agreement = None
        yield from self.cancel()
        self._check_tries()

    def _check_tries(self) -> None:
        """Whatever the server makes of our `cancel`, here the pairing is over."""
        if self._tries_left <= 0:
            raise PairingCancelled("the pairing is cancelled: make a new link")

    def _transcript(self, joiner: Joiner) -> Transcript:
        return Transcript(
            secret=self._secret,
            origin=self._keyring.origin,
            pairing_id=id_bytes(self.invitation.pairing_id),
            existing_thumbprint=self.invitation.existing_thumbprint,
            new_thumbprint=joiner.public_key.thumbprint,
            new_nonce=joiner.nonce,
        )

    def _parcel(self, agreement: Agreement, joiner: Joiner) -> dict[str, Any]:
        payload = encode_payload(self._user_id, self._keyring.key_epochs)
        recipient = joiner.recipient(self._keyring.origin)
        parcel = agreement.close(payload, recipient, self._keyring.signing)
        return {
            "key_thumbprint": b64url(joiner.public_key.thumbprint),
            "wrapped_cek": parcel.wrapped_cek,
            "ciphertext": parcel.ciphertext,
            "signature": parcel.signature,
        }


class Joining:
    """The new device: answers a link, shows six digits, receives the keys."""

    def __init__(self, keyring: Keyring, invitation: Invitation, nonce: bytes) -> None:
        self._keyring = keyring
        self._invitation = invitation
        self._path = f"/auth/pairings/{invitation.pairing_id}"
        self._nonce = nonce
        self._transcript = Transcript(
            secret=invitation.secret,
            origin=invitation.origin,
            pairing_id=id_bytes(invitation.pairing_id),
            existing_thumbprint=invitation.existing_thumbprint,
            new_thumbprint=keyring.signing.public.thumbprint,
            new_nonce=nonce,
        )
        self._agreement: Agreement | None = None

    def join(self) -> Exchange[None]:
        body = {
            **device_fields(self._keyring),
            "nonce": self._nonce,
            "signature": self._keyring.signing.sign(self._transcript.first),
            "mac": self._transcript.mac(),
        }
        yield from _step(Call("POST", f"{self._path}/join", body, proof=Proof.KEY))

    def wait_for_code(self, seconds: float) -> Exchange[str]:
        """Six digits to be typed on the existing device."""
        revealed = yield from _poll(self._path, Proof.KEY, {"open", "joined"}, seconds)
        if not revealed.has("existing_nonce"):
            raise PairingForged("the server hides what the other device has shown")
        nonce = revealed.data("existing_nonce")
        check_commitment(self._invitation, nonce)
        self._agreement = self._transcript.reveal(nonce)
        return self._agreement.code

    def wait_for_keys(self, seconds: float) -> Exchange[tuple[str, dict[int, bytes]]]:
        """User id and vault keys, from nobody but the device that showed the link."""
        if self._agreement is None:
            raise PairingError("the code has not been shown yet")
        waiting = {"open", "joined", "revealed"}
        approved = yield from _poll(self._path, Proof.KEY, waiting, seconds)
        if approved.text("state") not in ("approved", "completed"):
            raise AnswerInvalid("the server's answer has a bad state")
        parcel = yield from _step(Call("POST", f"{self._path}/collect", {}, proof=Proof.KEY))
        sender = _read_key(parcel, "public_key")
        if not hmac.compare_digest(sender.thumbprint, self._invitation.existing_thumbprint):
            raise PairingForged("another device answered than the one that showed the link")
        payload = self._agreement.open(
            Parcel(parcel.data("wrapped_cek"), parcel.data("ciphertext"), parcel.data("signature")),
            self._keyring.wrapping,
            sender,
        )
        user_id, key_epochs = decode_payload(payload)
        if user_id != parcel.id("user_id"):
            raise PairingForged("server and sender name different accounts")
        return user_id, key_epochs

    def complete(self) -> Exchange[Session]:
        """A session of our own; the server forgets the parcel."""
        answer = yield from _step(Call("POST", f"{self._path}/complete", {}, proof=Proof.KEY))
        return Session.read(answer)


def _poll(path: str, proof: Proof, waiting: set[str], seconds: float) -> Exchange[Answer]:
    """The pairing once it has left the `waiting` states; PairingExpired after `seconds`."""
    end = time.monotonic() + seconds
    wait = 0
    while True:
        answer = yield from _step(Call("GET", path, params={"wait": wait}, proof=proof))
        if answer.fields.get("conflict") is True or answer.text("state") == "conflict":
            raise PairingConflict(_SENTENCES[PairingConflict])
        if answer.text("state") not in waiting:
            return answer
        if time.monotonic() >= end:
            raise PairingExpired("nobody answered in time")
        wait = max(1, min(_WAIT_SECONDS, int(end - time.monotonic())))


def _step(call: Call) -> Generator[Call, Answer, Answer]:
    try:
        return (yield call)
    except Refused as refusal:
        kind = _FAILURES.get(refusal.code)
        if kind is None:
            raise
        raise kind(_SENTENCES[kind]) from None


def _read_joiner(answer: Answer) -> Joiner:
    with_wrapping = answer.has("wrapping_key")
    return Joiner(
        public_key=_read_key(answer, "public_key"),
        wrapping_key=_read_key(answer, "wrapping_key") if with_wrapping else None,
        wrapping_key_signature=answer.data("wrapping_key_signature") if with_wrapping else b"",
        nonce=answer.data("nonce"),
        signature=answer.data("signature"),
        mac=answer.data("mac"),
    )


def _read_key(answer: Answer, name: str) -> PublicKey:
    try:
        return PublicKey.from_pem(answer.text(name))
    except ValueError:
        raise AnswerInvalid(f"the server's answer has a bad {name}") from None
