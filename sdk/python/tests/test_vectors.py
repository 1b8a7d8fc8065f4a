"""The vectors of spec/vectors, which any other client must pass as well."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicNumbers

from echolia import (
    CannotOpen,
    ExportDamaged,
    ExportSummary,
    ItemContext,
    LinkInvalid,
    PairingForged,
    VectorClock,
    open_envelope,
    padded_length,
    seal,
)
from echolia._canonical import b64url, id_bytes, sha256, unb64url
from echolia._export import ExportCheck
from echolia._keys import PublicKey, wrapping_statement
from echolia._pairing import Invitation, Joiner, Transcript, check_commitment
from echolia._registration import solve

VECTORS = Path(__file__).parents[3] / "spec" / "vectors"


def load(name: str) -> Any:
    return json.loads((VECTORS / name).read_text("utf-8"))


ITEMS = load("item.json")["cases"]
PAIRING = load("pairing.json")


def context(case: dict[str, Any]) -> ItemContext:
    fields = case["context"]
    return ItemContext(
        user_id=fields["user_id"],
        collection=fields["collection"],
        item_id=fields["item_id"],
        device_id=fields["device_id"],
        clock=VectorClock.of(fields["vector_clock"]),
        is_deleted=fields["is_deleted"],
        key_epoch=fields["key_epoch"],
    )


def keys(case: dict[str, Any]) -> dict[int, bytes]:
    return {int(epoch): bytes.fromhex(key) for epoch, key in case["key_epochs"].items()}


@pytest.mark.parametrize("case", [one for one in ITEMS if one["valid"]], ids=lambda c: c["name"])
def test_an_item_seals_to_the_known_bytes_and_opens_again(case: dict[str, Any]) -> None:
    plaintext, envelope = bytes.fromhex(case["plaintext"]), bytes.fromhex(case["envelope"])
    key = keys(case)[case["context"]["key_epoch"]]
    assert context(case).aad().hex() == case["aad"]
    assert seal(key, context(case), plaintext, salt=bytes.fromhex(case["salt"])) == envelope
    assert open_envelope(keys(case), context(case), envelope) == plaintext


@pytest.mark.parametrize(
    "case", [one for one in ITEMS if not one["valid"]], ids=lambda c: c["name"]
)
def test_a_damaged_item_fails_at_the_named_check_and_says_nothing(case: dict[str, Any]) -> None:
    with pytest.raises(CannotOpen) as caught:
        open_envelope(keys(case), context(case), bytes.fromhex(case["envelope"]))
    assert caught.value.reason == case["reason"]
    assert str(caught.value) == "the sealed item cannot be opened"


def test_sizes_are_padded_as_listed() -> None:
    sizes = load("padme.json")["sizes"]
    assert {length: padded_length(int(length)) for length in sizes} == sizes


def transcript(agreement: dict[str, Any]) -> Transcript:
    return Transcript(
        secret=bytes.fromhex(agreement["secret"]),
        origin=agreement["origin"],
        pairing_id=id_bytes(agreement["pairing_id"]),
        existing_thumbprint=bytes.fromhex(agreement["existing_thumbprint"]),
        new_thumbprint=bytes.fromhex(agreement["new_thumbprint"]),
        new_nonce=bytes.fromhex(agreement["new_nonce"]),
    )


@pytest.mark.parametrize("agreement", PAIRING["agreements"], ids=lambda a: a["origin"])
def test_both_devices_agree_on_the_known_bytes(agreement: dict[str, Any]) -> None:
    first = transcript(agreement)
    nonce = bytes.fromhex(agreement["existing_nonce"])
    second = first.reveal(nonce)
    wrapped, ciphertext = (bytes.fromhex(agreement[n]) for n in ("wrapped_cek", "ciphertext"))
    assert {
        "transcript": first.first.hex(),
        "mac": first.mac().hex(),
        "commitment": sha256(nonce).hex(),
        "transcript2": second.transcript.hex(),
        "wrap_key": second.wrap_key.hex(),
        "code": second.code,
        "approval_statement": second.approval_statement(wrapped, ciphertext).hex(),
    }.items() <= agreement.items()


@pytest.mark.parametrize("agreement", PAIRING["agreements"], ids=lambda a: a["origin"])
def test_the_payload_opens_with_cek_and_wrap_key(agreement: dict[str, Any]) -> None:
    second = transcript(agreement).reveal(bytes.fromhex(agreement["existing_nonce"]))
    aead, nonce = second._aead(bytes.fromhex(agreement["cek"]))
    opened = aead.decrypt(nonce, bytes.fromhex(agreement["ciphertext"]), second.transcript)
    assert (nonce.hex(), opened.decode()) == (agreement["payload_nonce"], agreement["payload"])


@pytest.mark.parametrize("case", PAIRING["joins"], ids=lambda c: c["name"])
def test_a_join_is_believed_only_with_the_right_mac(case: dict[str, Any]) -> None:
    assert (transcript(PAIRING["agreements"][-1]).mac().hex() == case["mac"]) is case["valid"]


@pytest.mark.parametrize("case", PAIRING["reveals"], ids=lambda c: c["name"])
def test_a_nonce_is_believed_only_if_committed_to(case: dict[str, Any]) -> None:
    invitation = Invitation.parse(PAIRING["links"][0]["link"])
    nonce = bytes.fromhex(case["existing_nonce"])
    if case["valid"]:
        check_commitment(invitation, nonce)
        return
    with pytest.raises(PairingForged):
        check_commitment(invitation, nonce)


@pytest.mark.parametrize("case", PAIRING["links"], ids=lambda c: c.get("name", "right"))
def test_only_whole_links_are_read(case: dict[str, Any]) -> None:
    if not case["valid"]:
        with pytest.raises(LinkInvalid):
            Invitation.parse(case["link"])
        return
    invitation = Invitation.parse(case["link"])
    assert invitation.link() == case["link"]
    assert (invitation.origin, invitation.secret.hex()) == (case["origin"], case["secret"])


@pytest.mark.parametrize("case", PAIRING["wrapping_key"]["signatures"], ids=lambda c: c["name"])
def test_a_wrapping_key_counts_only_with_its_owners_signature(case: dict[str, Any]) -> None:
    given = PAIRING["wrapping_key"]
    signing = PublicKey.from_pem(given["public_key"])
    wrapping = PublicKey.from_pem(given["wrapping_key"])
    assert wrapping_statement(given["origin"], signing, wrapping).hex() == given["statement"]
    signature = bytes.fromhex(case["signature"])
    joiner = Joiner(signing, wrapping, signature, b"", b"", b"")
    if case["valid"]:
        assert joiner.recipient(given["origin"]) == wrapping
        return
    with pytest.raises(PairingForged):
        joiner.recipient(given["origin"])


def test_a_thumbprint_is_that_of_rfc_7638() -> None:
    given = PAIRING["thumbprint"]
    n, e = (int.from_bytes(unb64url(given["jwk"][name]), "big") for name in "ne")
    assert b64url(PublicKey(RSAPublicNumbers(e, n).public_key()).thumbprint) == given["value"]


@pytest.mark.parametrize("case", load("proof_of_work.json"), ids=lambda c: c["name"])
def test_work_counts_as_the_vector_says_and_ours_counts(case: dict[str, Any]) -> None:
    challenge, difficulty = bytes.fromhex(case["challenge"]), case["difficulty"]

    def is_done(solution: bytes) -> bool:
        digest = hashlib.sha256(challenge + solution).digest()
        return bool(int.from_bytes(digest, "big") >> (256 - difficulty) == 0)

    assert is_done(bytes.fromhex(case["solution"])) is case["valid"]
    assert is_done(solve(challenge, difficulty))


@pytest.mark.parametrize("case", load("export.json")["cases"], ids=lambda c: c["name"])
def test_an_export_is_taken_whole_or_refused(case: Any) -> None:
    if case["valid"]:
        assert _checked(case["text"]).counts["account"] == 1
        return
    with pytest.raises(ExportDamaged):
        _checked(case["text"])


def _checked(text: str) -> ExportSummary:
    check = ExportCheck()
    check.feed(text.encode())
    return check.finish()
