"""Which step of a pairing may follow which: the rules alone."""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from app.auth import pairing as rules
from app.auth.devices import Description
from app.auth.errors import (
    CommitmentMismatch,
    PairingCancelled,
    PairingConflict,
    PairingExpired,
    PairingState,
)
from app.auth.pairing import Approval, Joiner, Pairing
from app.errors import EcholiaError

NOW = 1_800_000_000
NONCE = b"e" * 32
APPROVAL = Approval(b"wrapped", b"sealed", b"signed")
JOINER = Joiner(
    public_key=b"key",
    thumbprint=b"t" * 32,
    wrapping_key=None,
    wrapping_key_signature=None,
    description=Description("mobile", "ios", None),
    nonce=b"n" * 16,
    signature=b"s",
    mac=b"m" * 32,
)
OPEN = Pairing(
    pairing_id="p",
    user_id="u",
    device_id="d",
    state="open",
    commitment=hashlib.sha256(NONCE).digest(),
    expires_at=NOW + 300,
    joiner=None,
    existing_nonce=None,
    approval=None,
    new_device_id=None,
)
JOINED = replace(OPEN, state="joined", joiner=JOINER)
REVEALED = replace(JOINED, state="revealed", existing_nonce=NONCE)
APPROVED = replace(REVEALED, state="approved", approval=APPROVAL, new_device_id="n")
COMPLETED = replace(APPROVED, state="completed", approval=None)
STATES: dict[str, Pairing] = {
    each.state: each for each in (OPEN, JOINED, REVEALED, APPROVED, COMPLETED)
}

Outcome = bool | type[EcholiaError]


def outcome(rule: Callable[..., Any], *arguments: object) -> Outcome:
    try:
        return bool(rule(*arguments))
    except EcholiaError as error:
        return type(error)


def each_state(**expected: Outcome) -> list[tuple[Pairing, Outcome]]:
    assert set(expected) == set(STATES)
    return [(STATES[name], what) for name, what in expected.items()]


@pytest.mark.parametrize(
    ("pairing", "expected"),
    each_state(open=True, joined=False, revealed=False, approved=False, completed=False),
)
def test_the_same_join_is_new_once(pairing: Pairing, expected: Outcome) -> None:
    assert outcome(rules.join_is_new, pairing, JOINER) == expected


@pytest.mark.parametrize("other", [{"thumbprint": b"o" * 32}, {"nonce": b"o" * 16}])
@pytest.mark.parametrize("state", ["joined", "revealed", "approved", "completed"])
def test_another_join_is_a_conflict(state: str, other: dict[str, Any]) -> None:
    assert outcome(rules.join_is_new, STATES[state], replace(JOINER, **other)) is PairingConflict


@pytest.mark.parametrize(
    ("pairing", "expected"),
    each_state(open=PairingState, joined=True, revealed=False, approved=False, completed=False),
)
def test_the_same_reveal_is_new_once_after_the_join(pairing: Pairing, expected: Outcome) -> None:
    assert outcome(rules.reveal_is_new, pairing, NONCE) == expected


@pytest.mark.parametrize(
    ("pairing", "expected"),
    each_state(
        open=PairingState,
        joined=CommitmentMismatch,
        revealed=PairingState,
        approved=PairingState,
        completed=PairingState,
    ),
)
def test_another_reveal_is_refused(pairing: Pairing, expected: Outcome) -> None:
    assert outcome(rules.reveal_is_new, pairing, b"o" * 32) == expected


def test_without_a_commitment_any_nonce_is_revealed() -> None:
    assert rules.reveal_is_new(replace(JOINED, commitment=None), b"o" * 32)


@pytest.mark.parametrize(
    ("pairing", "expected"),
    each_state(
        open=PairingState,
        joined=PairingState,
        revealed=True,
        approved=False,
        completed=PairingState,
    ),
)
def test_the_same_approval_is_new_once_after_the_reveal(
    pairing: Pairing, expected: Outcome
) -> None:
    assert outcome(rules.approval_is_new, pairing, JOINER.thumbprint, APPROVAL) == expected


@pytest.mark.parametrize("state", STATES)
def test_an_approval_for_another_key_is_refused(state: str) -> None:
    assert outcome(rules.approval_is_new, STATES[state], b"o" * 32, APPROVAL) is PairingState


@pytest.mark.parametrize("field", ["wrapped_cek", "ciphertext", "signature"])
def test_another_approval_is_refused(field: str) -> None:
    other = replace(APPROVAL, **{field: b"other"})
    assert outcome(rules.approval_is_new, APPROVED, JOINER.thumbprint, other) is PairingState


@pytest.mark.parametrize(
    ("pairing", "expected"),
    each_state(
        open=PairingState,
        joined=PairingState,
        revealed=PairingState,
        approved=True,
        completed=PairingState,
    ),
)
def test_only_an_approved_pairing_is_collected(pairing: Pairing, expected: Outcome) -> None:
    assert outcome(rules.check_collectable, pairing) == expected


@pytest.mark.parametrize(
    ("pairing", "expected"),
    each_state(open=True, joined=True, revealed=True, approved=True, completed=False),
)
def test_only_what_has_not_ended_is_cancelled(pairing: Pairing, expected: Outcome) -> None:
    assert outcome(rules.cancel_is_new, pairing, NOW) == expected
    assert outcome(rules.cancel_is_new, replace(pairing, state="cancelled"), NOW) is False
    assert outcome(rules.cancel_is_new, replace(pairing, state="conflict"), NOW) is False
    assert outcome(rules.cancel_is_new, pairing, NOW + 300) is PairingExpired


@pytest.mark.parametrize("state", STATES)
def test_a_pairing_lives_until_its_last_second(state: str) -> None:
    pairing = STATES[state]
    assert outcome(rules.check_alive, pairing, NOW + 299) is False
    assert outcome(rules.check_alive, pairing, NOW + 300) is PairingExpired
    assert outcome(rules.check_alive, replace(pairing, state="cancelled"), NOW) is PairingCancelled
    assert outcome(rules.check_alive, replace(pairing, state="conflict"), NOW) is PairingConflict
