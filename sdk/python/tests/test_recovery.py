"""Recovery phrases and wrapping to P-256, without a server: words, parts, bundles, vectors."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given
from hypothesis import strategies as st

from echolia import PhraseInvalid, RecoveryForged, new_phrase
from echolia._canonical import sha256, unb64, unb64url
from echolia._errors import PairingForged
from echolia._keyring import Keyring, KeyringFile
from echolia._keys import P256Key, PublicKey, RsaKey, generate_key, read_private_key
from echolia._pairing import Joiner
from echolia._phrase import entropy_of, grid, words_of
from echolia._recovery import KeptRecovery, RecoveryKeys

VECTORS = Path(__file__).parents[3] / "spec" / "vectors"


def load(name: str) -> Any:
    return json.loads((VECTORS / name).read_text("utf-8"))


RECOVERY, WRAPPING = load("recovery.json"), load("wrapping.json")
PUBLISHED = next(key for key in load("signatures.json")["keys"] if key["name"] == "p256")


def name_of(case: Any) -> str:
    return str(case["name"])


# --- words --------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", RECOVERY["phrases"], ids=name_of)
def test_words_and_entropy_are_one_and_the_same(case: Any) -> None:
    entropy = bytes.fromhex(case["entropy"])
    assert words_of(entropy) == case["words"]
    assert entropy_of(case["words"]) == entropy


@pytest.mark.parametrize("case", RECOVERY["same"], ids=name_of)
def test_a_phrase_may_be_typed_shorter_and_louder(case: Any) -> None:
    assert entropy_of(case["words"]) == entropy_of(case["as"])


@pytest.mark.parametrize("case", RECOVERY["refused"], ids=name_of)
def test_what_is_no_phrase_is_refused_at_the_word_at_fault_without_repeating_it(case: Any) -> None:
    with pytest.raises(PhraseInvalid) as caught:
        entropy_of(case["words"])
    assert caught.value.position == case["position"]
    assert not set(case["words"].split()) & set(str(caught.value).split())


@given(st.binary(min_size=16, max_size=16) | st.binary(min_size=32, max_size=32))
def test_every_entropy_has_words_that_give_it_back(entropy: bytes) -> None:
    assert entropy_of(words_of(entropy)) == entropy


LISTED = words_of(bytes(range(32))).split()


@given(st.text() | st.lists(st.sampled_from([*LISTED, "zoo", "éclair", "\0"])).map(" ".join))
def test_any_text_is_a_phrase_or_refused_as_none(text: str) -> None:
    try:
        entropy = entropy_of(text)
    except PhraseInvalid:
        return
    shown = words_of(entropy).split()
    assert [word[:4] for word in shown] == [word[:4] for word in text.lower().split()]


@pytest.mark.parametrize(("words", "size"), [(12, 16), (24, 32)])
def test_a_new_phrase_has_the_words_asked_for_and_is_new(words: int, size: int) -> None:
    made = {new_phrase(words) for _ in range(20)}
    assert len(made) == 20
    assert {len(entropy_of(phrase)) for phrase in made} == {size}


def test_no_shorter_phrase_is_made() -> None:
    with pytest.raises(ValueError, match="12 or 24"):
        new_phrase(11)


def test_almost_every_wrong_word_is_noticed() -> None:
    words = new_phrase(24).split()
    noticed = 0
    for _ in range(200):
        wrong = list(words)
        wrong[os.urandom(1)[0] % 24] = new_phrase(12).split()[0]
        try:
            noticed += entropy_of(" ".join(wrong)) == entropy_of(" ".join(words))
        except PhraseInvalid:
            noticed += 1
    assert noticed > 180


def test_the_grid_holds_every_word_once_with_its_number() -> None:
    words = [f"word{number}" for number in range(1, 25)]
    cells = " ".join(grid(words)).split()
    shown = dict(zip(map(int, cells[::2]), cells[1::2], strict=True))
    assert [shown[number] for number in range(1, 25)] == words
    assert max(map(len, grid(words))) < 80


# --- parts and bundle ---------------------------------------------------------------------------


@pytest.mark.parametrize("case", RECOVERY["phrases"], ids=name_of)
def test_a_phrase_is_split_and_its_bundle_sealed_to_the_byte(case: Any) -> None:
    keys = RecoveryKeys.of(bytes.fromhex(case["entropy"]))
    assert keys.locator.hex() == case["locator"]
    assert keys.authenticator.hex() == case["authenticator"]
    assert keys.bundle_key.hex() == case["bundle_key"]
    assert sha256(keys.authenticator).hex() == case["authenticator_hash"]
    bundle = case["bundle"]
    epochs = {int(number): bytes.fromhex(key) for number, key in bundle["key_epochs"].items()}
    salt = bytes.fromhex(bundle["salt"])
    sealed = keys.kept().seal_bundle(bundle["user_id"], epochs, salt=salt)
    assert sealed.hex() == bundle["sealed"]
    assert keys.open_bundle(sealed) == (bundle["user_id"], epochs)


def test_no_changed_bundle_opens() -> None:
    case = RECOVERY["phrases"][-1]
    keys, sealed = RecoveryKeys.of(bytes.fromhex(case["entropy"])), case["bundle"]["sealed"]
    raw = bytes.fromhex(sealed)
    for at in range(0, len(raw), 3):
        with pytest.raises(RecoveryForged):
            keys.open_bundle(raw[:at] + bytes([raw[at] ^ 0x10]) + raw[at + 1 :])
    other = RecoveryKeys.of(bytes(16))
    for wrong in (raw[:-1], raw[:88], b""):
        with pytest.raises(RecoveryForged):
            keys.open_bundle(wrong)
    with pytest.raises(RecoveryForged):
        other.open_bundle(raw)


def test_a_bundle_that_holds_something_else_is_refused() -> None:
    kept = RecoveryKeys.of(bytes(32)).kept()
    empty = kept.seal_bundle("11111111-1111-4111-8111-111111111111", {})
    with pytest.raises(RecoveryForged):
        RecoveryKeys.of(bytes(32)).open_bundle(empty)


def test_a_device_keeps_what_seals_and_nothing_that_comes_in(tmp_path: Path) -> None:
    keys = RecoveryKeys.of(os.urandom(32))
    keyring = Keyring.generate("http://localhost:8000", "amber otter", "p256")
    path = tmp_path / "keyring.json"
    file = KeyringFile.create(path, keyring, "")
    file.save(
        Keyring.from_json(keyring.to_json() | {"recovery": keys.kept().to_json()}),
    )
    _, opened = KeyringFile.open(path, "")
    assert opened.recovery is not None
    assert KeptRecovery.from_json(opened.recovery) == keys.kept()
    assert keys.authenticator not in map(bytes, bytes_in(opened.recovery))
    assert "bundle_key" not in repr(opened)


def bytes_in(fields: Any) -> list[bytes]:
    return [unb64(value) for value in fields.values()]


# --- wrapping to P-256 --------------------------------------------------------------------------


def published_key() -> P256Key:
    number = int.from_bytes(unb64url(PUBLISHED["private_jwk"]["d"]), "big")
    return P256Key(ec.derive_private_key(number, ec.SECP256R1()))


@pytest.mark.parametrize("case", WRAPPING["cases"], ids=name_of)
def test_suite_2_opens_what_was_wrapped_for_it_and_nothing_else(case: Any) -> None:
    key, label = published_key(), bytes.fromhex(case["label"])
    wrapped = bytes.fromhex(case["wrapped_cek"])
    if case["valid"]:
        assert key.unwrap(wrapped, label).hex() == WRAPPING["cek"]
        return
    with pytest.raises(ValueError, match=r"."):
        key.unwrap(wrapped, label)


def test_what_suite_2_wraps_it_opens_and_never_twice_alike() -> None:
    key, other, secret, label = P256Key.generate(), P256Key.generate(), os.urandom(32), b"label"
    one, two = (key.public.wrap(secret, label) for _ in range(2))
    assert one != two
    assert len(one) == 65 + 32 + 16
    assert key.unwrap(one, label) == key.unwrap(two, label) == secret
    with pytest.raises(ValueError, match=r"."):
        other.unwrap(one, label)


@pytest.mark.parametrize("kind", ["rsa", "p256"])
def test_a_keyring_keeps_keys_of_either_kind(kind: Any) -> None:
    key = generate_key(kind)
    again = read_private_key(key.der)
    assert again.public.thumbprint == key.public.thumbprint
    assert key.public.verifies(again.sign(b"message"), b"message")
    keyring = Keyring.generate("http://localhost:8000", "quiet heron", kind)
    assert Keyring.from_json(keyring.to_json()).kind == kind


def test_a_p256_key_in_both_roles_receives_nothing() -> None:
    signing, origin = P256Key.generate().public, "http://localhost:8000"
    for wrapping in (None, signing):
        with pytest.raises(PairingForged):
            Joiner(signing, wrapping, b"", b"", b"", b"").recipient(origin)


def test_an_rsa_key_too_weak_to_carry_a_vault_is_wrapped_nothing(rsa_keys: list[RsaKey]) -> None:
    weak = PublicKey(rsa.generate_private_key(65537, 2048).public_key())
    assert not weak.may_receive
    with pytest.raises(ValueError, match="3072"):
        weak.wrap(b"secret", b"label")
    assert rsa_keys[0].public.may_receive
