"""A server between two devices that pair, which tries everything: neither device gives a key to it
or takes one from it, and each says what is wrong."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from echolia import (
    AnswerInvalid,
    EcholiaError,
    PairingCancelled,
    PairingConflict,
    PairingExpired,
    PairingForged,
    WrongCode,
)
from echolia._answers import Answer
from echolia._canonical import b64, id_bytes, new_id, sha256
from echolia._errors import Offline, Refused
from echolia._keyring import Keyring
from echolia._keys import RsaKey, wrapping_statement
from echolia._pairing import (
    Invitation,
    Parcel,
    Transcript,
    decode_payload,
    encode_payload,
)
from echolia._pairing_flow import Inviter
from echolia._registration import device_fields
from echolia._session import Session

from .conftest import ORIGIN
from .pairing_server import E, Fields, Middle, N, Scene, carry


@pytest.fixture
def guest(rsa_keys: list[RsaKey]) -> Keyring:
    """The new device: keys of its own, and no account yet."""
    return Keyring(
        server=ORIGIN,
        signing=rsa_keys[2],
        wrapping=rsa_keys[3],
        store_key=os.urandom(32),
        key_epochs={},
        device_name="quiet heron",
    )


@pytest.fixture
def intruder(rsa_keys: list[RsaKey]) -> Keyring:
    """Keys that the server, or whoever it helps, has made."""
    return Keyring(
        server=ORIGIN,
        signing=rsa_keys[4],
        wrapping=rsa_keys[5],
        store_key=os.urandom(32),
        key_epochs={1: os.urandom(32)},
        user_id=new_id(),
        device_name="grey cuckoo",
    )


MakeScene = Callable[..., Scene]


@pytest.fixture
def scene(keyring: Keyring, guest: Keyring) -> MakeScene:
    def make(kind: type[Middle] = Middle, **parts: Any) -> Scene:
        return Scene(kind(keyring, **parts), Inviter(keyring), guest)

    return make


def transcript_of(link: Invitation, joiner: Keyring, nonce: bytes) -> Transcript:
    return Transcript(
        secret=link.secret,
        origin=link.origin,
        pairing_id=id_bytes(link.pairing_id),
        existing_thumbprint=link.existing_thumbprint,
        new_thumbprint=joiner.signing.public.thumbprint,
        new_nonce=nonce,
    )


def join_of(joiner: Keyring, transcript: Transcript) -> Fields:
    """What a device sends that knows this transcript."""
    return {
        **device_fields(joiner),
        "nonce": b64(transcript.new_nonce),
        "signature": b64(joiner.signing.sign(transcript.first)),
        "mac": b64(transcript.mac()),
    }


def test_an_honest_server_brings_the_two_together(scene: MakeScene, keyring: Keyring) -> None:
    here = scene()
    here.up_to_parcel()
    assert here.keys() == (keyring.user_id, keyring.key_epochs)
    assert here.joining is not None
    assert isinstance(carry(here.server, N, here.joining.complete()), Session)


# -- the new device's key is swapped


def own_key(join: Fields, intruder: Keyring, link: Invitation) -> Fields:
    """The server's keys and signatures, in the new device's name; the MAC it cannot make."""
    blind = replace(link, secret=bytes(32))
    made = join_of(intruder, transcript_of(blind, intruder, os.urandom(16)))
    return {**made, "mac": join["mac"]}


def own_wrapping_key(join: Fields, intruder: Keyring, _: Invitation) -> Fields:
    fields = device_fields(intruder)
    return {**join, **{name: fields[name] for name in fields if name.startswith("wrapping_")}}


def own_nonce(join: Fields, _: Keyring, __: Invitation) -> Fields:
    return {**join, "nonce": b64(os.urandom(16))}


def short_nonce(join: Fields, _: Keyring, __: Invitation) -> Fields:
    return {**join, "nonce": b64(b"short")}


def other_mac(join: Fields, _: Keyring, __: Invitation) -> Fields:
    return {**join, "mac": b64(os.urandom(32))}


def other_signature(join: Fields, intruder: Keyring, _: Invitation) -> Fields:
    return {**join, "signature": b64(intruder.signing.sign(b"T"))}


@pytest.mark.parametrize(
    ("swap", "words"),
    [
        (own_key, "has not seen this link"),
        (own_wrapping_key, "wrapping key is not signed"),
        (own_nonce, "has not seen this link"),
        (short_nonce, "wrong length"),
        (other_mac, "has not seen this link"),
        (other_signature, "does not hold the key"),
    ],
)
def test_a_swapped_key_or_join_is_found_out_before_anything_is_shown(
    scene: MakeScene,
    intruder: Keyring,
    swap: Callable[[Fields, Keyring, Invitation], Fields],
    words: str,
) -> None:
    here = scene()
    link = here.show()
    here.join()
    here.server.join = swap(here.server.join, intruder, link)
    with pytest.raises(PairingForged, match=words):
        here.accept_join()
    assert (E, "reveal") not in here.server.heard
    assert here.nothing_left()


def test_a_wrapping_key_taken_away_leads_nobody_else_to_the_keys(
    scene: MakeScene, guest: Keyring
) -> None:
    here = scene()
    here.show()
    here.join()
    for name in ("wrapping_key", "wrapping_key_signature"):
        del here.server.join[name]
    here.accept_join()
    here.approve(here.code())
    with pytest.raises(PairingForged, match="not made for this device"):
        here.keys()
    # It went to the one key that the new device is known by.
    assert guest.signing.key.key_size >= 3072


# -- an old pairing is replayed


def test_an_old_join_does_not_fit_a_new_link(scene: MakeScene, keyring: Keyring) -> None:
    """The server even gives out the old pairing's id again."""
    here = scene()
    here.up_to_parcel()
    old = here.server
    again = Scene(
        Middle(keyring, pairing_id=old.pairing_id, join=old.join, state="joined"),
        Inviter(keyring),
        here.new,
    )
    again.show()
    with pytest.raises(PairingForged, match="has not seen this link"):
        again.accept_join()
    assert (E, "reveal") not in again.server.heard


def test_an_old_reveal_does_not_fit_a_new_link(scene: MakeScene) -> None:
    old, here = scene(), scene()
    old.up_to_code()
    here.show()
    here.join()
    here.server.nonce, here.server.state = old.server.nonce, "revealed"
    with pytest.raises(PairingForged, match="another nonce than the link promised"):
        here.code()


def test_an_old_parcel_does_not_open_in_a_new_pairing(scene: MakeScene) -> None:
    old, here = scene(), scene()
    old.up_to_parcel()
    here.up_to_parcel()
    here.server.parcel = old.server.parcel
    with pytest.raises(PairingForged, match="not signed by the device that showed the link"):
        here.keys()


# -- somebody has a picture of the link


def test_whoever_joins_first_with_a_picture_ends_the_pairing_for_both(
    scene: MakeScene, intruder: Keyring
) -> None:
    here = scene()
    link = here.show()
    here.server.joined(join_of(intruder, transcript_of(link, intruder, os.urandom(16))))
    with pytest.raises(PairingConflict, match="make a new one"):
        here.join()
    with pytest.raises(PairingConflict, match="make a new one"):
        here.accept_join()
    assert here.nothing_left()


class Accomplice(Middle):
    """Lets two devices join one pairing and shows each of them what it wants to see."""

    hidden: Fields

    def seen(self, who: str) -> Fields:
        joined = self.hidden if who == E else self.join
        state = "joined" if joined and (who == E or self.nonce is None) else self.state
        nonce = {"existing_nonce": self.nonce} if self.nonce else {}
        return {"state": state, "conflict": False, **joined, **nonce}


def photographed(scene: MakeScene, intruder: Keyring) -> Scene:
    """Both have joined, the server hides it, and the existing device believes the intruder."""
    here = scene(Accomplice)
    assert isinstance(here.server, Accomplice)
    here.server.hidden = {}
    link = here.show()
    here.server.hidden = join_of(intruder, transcript_of(link, intruder, os.urandom(16)))
    here.join()
    here.accept_join()
    return here


def test_with_the_servers_help_the_code_still_does_not_fit(
    scene: MakeScene, intruder: Keyring
) -> None:
    here = photographed(scene, intruder)
    code = here.code()  # what the honest new device shows, and the user types
    for left in (2, 1):
        with pytest.raises(WrongCode) as wrong:
            here.approve(code)
        assert wrong.value.tries_left == left
    with pytest.raises(PairingCancelled):
        here.approve(code)
    assert here.nothing_left()


def test_a_nonce_searched_for_after_the_reveal_is_not_taken(
    scene: MakeScene, intruder: Keyring
) -> None:
    """The server loses the answer to the reveal, so that the existing device looks again; by then
    the intruder knows n_E, and has all the time it needs to make the codes equal."""
    here = photographed(scene, intruder)
    assert here.link is not None
    assert isinstance(here.server, Accomplice)
    here.server.hidden = join_of(intruder, transcript_of(here.link, intruder, os.urandom(16)))
    with pytest.raises(PairingForged, match="another device than before"):
        here.accept_join()
    with pytest.raises(WrongCode):
        here.approve(here.code())
    assert here.nothing_left()


def test_no_nonce_is_shown_before_the_join_it_answers(scene: MakeScene, intruder: Keyring) -> None:
    here = scene(Accomplice)
    assert isinstance(here.server, Accomplice)
    here.server.hidden = {}
    here.show()
    with pytest.raises(PairingExpired):
        here.accept_join()
    assert here.server.heard == [(E, "pairings"), (E, "GET pairing")]


def test_a_nonce_chosen_to_make_the_codes_equal_breaks_its_promise(
    scene: MakeScene, intruder: Keyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other way round: the server looks for a nonce to show to the honest new device."""
    here = photographed(scene, intruder)
    here.server.nonce = b64(os.urandom(32))  # the one it found
    with pytest.raises(PairingForged, match="another nonce than the link promised"):
        here.code()


# -- somebody poses as the existing device


def planted(intruder: Keyring, here: Scene) -> Fields:
    """A vault of the server's own, closed for the new device as well as the server can."""
    assert here.link is not None
    nonce = os.urandom(16)
    agreement = transcript_of(here.link, here.new, nonce).reveal(os.urandom(32))
    parcel = agreement.close(
        encode_payload(str(intruder.user_id), intruder.key_epochs),
        here.new.wrapping.public,
        intruder.signing,
    )
    return shown(parcel) | {"user_id": intruder.user_id}


def shown(parcel: Parcel) -> Fields:
    return {
        "wrapped_cek": b64(parcel.wrapped_cek),
        "ciphertext": b64(parcel.ciphertext),
        "signature": b64(parcel.signature),
    }


@pytest.mark.parametrize(
    ("names_itself", "words"),
    [
        (True, "another device answered than the one that showed the link"),
        (False, "not signed by the device that showed the link"),
    ],
)
def test_a_vault_planted_by_another_device_is_not_taken(
    scene: MakeScene, intruder: Keyring, keyring: Keyring, names_itself: bool, words: str
) -> None:
    here = scene()
    here.up_to_parcel()
    key = intruder.signing if names_itself else keyring.signing
    fields = planted(intruder, here) | {"public_key": key.public.pem}
    here.server.collected = lambda: fields  # type: ignore[method-assign]
    with pytest.raises(PairingForged, match=words):
        here.keys()


# -- the parcel is changed on the way


@pytest.mark.parametrize("part", ["wrapped_cek", "ciphertext", "signature"])
@pytest.mark.parametrize("at", [0, -1])
def test_a_parcel_with_one_bit_changed_does_not_open(scene: MakeScene, part: str, at: int) -> None:
    here = scene()
    here.up_to_parcel()
    raw = bytearray(Answer(here.server.parcel).data(part))
    raw[at] ^= 1
    here.server.parcel[part] = b64(bytes(raw))
    with pytest.raises(PairingForged, match="not signed by the device that showed the link"):
        here.keys()


def test_a_parcel_for_another_account_is_refused(scene: MakeScene) -> None:
    here = scene()
    here.up_to_parcel()
    here.server.existing = replace(here.server.existing, user_id=new_id())
    with pytest.raises(PairingForged, match="name different accounts"):
        here.keys()


@pytest.mark.parametrize(
    "payload",
    [b"", b"[]", b"{}", b'{"user_id": 1, "key_epochs": {}}', b"[" * 100_000],
)
def test_a_signed_payload_without_keys_is_called_that(payload: bytes) -> None:
    with pytest.raises(PairingForged, match="no vault keys"):
        decode_payload(payload)


# -- messages are dropped, and states made up


def test_a_reveal_that_never_arrives_ends_in_time(scene: MakeScene) -> None:
    here = scene()
    here.show()
    here.join()
    here.server.revealed = lambda body: {}  # type: ignore[method-assign]
    here.accept_join()
    with pytest.raises(PairingExpired, match="nobody answered in time"):
        here.code()


def test_a_reveal_without_its_nonce_is_called_that(scene: MakeScene) -> None:
    here = scene()
    here.show()
    here.join()
    here.server.state = "revealed"
    with pytest.raises(PairingForged, match="hides what the other device has shown"):
        here.code()


def test_a_lost_answer_to_the_reveal_costs_nothing(scene: MakeScene, keyring: Keyring) -> None:
    here = scene()
    here.show()
    here.join()
    honest = here.server.revealed

    def lost(body: Fields) -> Fields:
        honest(body)
        raise Offline("the connection to the server broke")

    here.server.revealed = lost  # type: ignore[method-assign]
    with pytest.raises(Offline):
        here.accept_join()
    here.server.revealed = honest  # type: ignore[method-assign]
    here.accept_join()
    here.approve(here.code())
    assert here.keys() == (keyring.user_id, keyring.key_epochs)


@pytest.mark.parametrize("state", ["approved", "completed", "elsewhere", ""])
def test_a_state_made_up_while_the_existing_device_waits_is_no_join(
    scene: MakeScene, state: str
) -> None:
    here = scene()
    here.show()
    here.join()
    here.server.state = state
    with pytest.raises(AnswerInvalid, match="bad state"):
        here.accept_join()
    assert (E, "reveal") not in here.server.heard


def test_a_state_made_up_while_the_new_device_waits_brings_no_keys(scene: MakeScene) -> None:
    here = scene()
    here.up_to_code()
    here.server.state = "elsewhere"
    with pytest.raises(AnswerInvalid, match="bad state"):
        here.keys()


def cancelling_ways() -> Iterator[Callable[[], Fields]]:
    def deaf() -> Fields:
        return {}

    def refusing() -> Fields:
        raise Refused(503, "unavailable")

    yield deaf
    yield refusing


@pytest.mark.parametrize("cancelled", list(cancelling_ways()))
def test_three_wrong_codes_end_it_even_if_the_server_will_not_hear_of_it(
    scene: MakeScene, cancelled: Callable[[], Fields]
) -> None:
    here = scene()
    right = here.up_to_code()
    wrong = f"{(int(right) + 1) % 10**6:06d}"
    here.server.cancelled = cancelled  # type: ignore[method-assign]
    for _ in range(2):
        with pytest.raises(WrongCode):
            here.approve(wrong)
    with pytest.raises(EcholiaError):
        here.approve(wrong)
    with pytest.raises(PairingCancelled, match="make a new link"):
        here.approve(right)
    with pytest.raises(PairingCancelled, match="make a new link"):
        here.accept_join()
    assert here.nothing_left()


def test_a_pairing_cancelled_here_is_over_whatever_the_server_says(scene: MakeScene) -> None:
    here = scene()
    code = here.up_to_code()
    carry(here.server, E, here.inviter.cancel())
    here.server.state = "revealed"
    with pytest.raises(PairingCancelled):
        here.approve(code)
    assert here.nothing_left()


def test_the_wrapping_statement_names_key_and_origin(guest: Keyring, keyring: Keyring) -> None:
    """A signature over one wrapping key serves no other key and no other server."""
    mine = wrapping_statement(ORIGIN, guest.signing.public, guest.wrapping.public)
    other_key = wrapping_statement(ORIGIN, guest.signing.public, keyring.wrapping.public)
    elsewhere = wrapping_statement("https://x.example", guest.signing.public, guest.wrapping.public)
    assert len({sha256(each) for each in (mine, other_key, elsewhere)}) == 3
