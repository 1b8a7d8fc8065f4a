"""spec/vectors/signatures.json against the code that checks signatures and proofs."""

import base64
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from app.auth import signed_bytes
from app.auth.errors import ProofReplayed
from app.auth.proofs import Asked, Proofs
from app.auth.public_key import PublicKey, jwk_thumbprint, load_public_key, thumbprint_text
from app.auth.server_keys import ServerKeys
from app.errors import NotAuthenticated
from tests.kit.clock import SetClock
from tests.spec.vectors import name_of, vectors

VECTORS = vectors("signatures")
PROOFS = VECTORS["proofs"]
VALID_PROOFS = [case for case in PROOFS["cases"] if case["code"] is None]


def key_of(pem: str) -> PublicKey:
    """Trusted: these keys must never be registered, so they are not examined either."""
    return load_public_key(base64.b64decode("".join(pem.splitlines()[1:-1])))


KEYS = {entry["name"]: key_of(entry["public_key"]) for entry in VECTORS["keys"]}


def answer(case: Any, make: Callable[[str, bytes, bytes], bytes]) -> bytes:
    challenge = base64.b64decode(case["challenge"])
    return make(case["origin"], challenge, KEYS[case["key"]].thumbprint)


def message_of(case: Any) -> bytes:
    """The signed bytes of a case, made from its parts by the server's own code."""
    key = KEYS[case["key"]]
    match case["kind"]:
        case "register":
            return answer(case, signed_bytes.register_message)
        case "login":
            return answer(case, signed_bytes.login_message)
        case "delete_account":
            return answer(case, signed_bytes.delete_account_message)
        case "wrapping_key":
            wrapping = key_of(case["wrapping_key"])
            return signed_bytes.wrapping_key_message(case["origin"], key.thumbprint, wrapping.der)
        case "pair_join":
            return signed_bytes.pairing_transcript(
                case["origin"],
                uuid.UUID(case["pairing_id"]).bytes,
                KEYS[case["existing_key"]].thumbprint,
                key.thumbprint,
                base64.b64decode(case["nonce"]),
            )
        case "pair_approve":
            parts = (
                base64.b64decode(case[n]) for n in ("transcript2", "wrapped_cek", "ciphertext")
            )
            return signed_bytes.pairing_approval(*parts)
        case kind:
            raise AssertionError(kind)


@pytest.mark.parametrize("entry", VECTORS["keys"], ids=name_of)
def test_a_key_its_jwk_and_its_thumbprint_belong_together(entry: Any) -> None:
    key = KEYS[entry["name"]]
    assert key.pem == entry["public_key"]
    assert key.jwk.items() <= entry["private_jwk"].items()
    assert thumbprint_text(key.thumbprint) == entry["key_thumbprint"]
    assert jwk_thumbprint(entry["private_jwk"]) == key.thumbprint


@pytest.mark.parametrize("case", VECTORS["statements"], ids=name_of)
def test_the_signed_bytes_are_those_of_the_specification(case: Any) -> None:
    assert message_of(case).hex() == case["message"]


@pytest.mark.parametrize("case", VECTORS["statements"], ids=name_of)
def test_exactly_the_valid_signatures_verify(case: Any) -> None:
    message = bytes.fromhex(case["message"])
    for signature in case["signatures"]:
        verified = KEYS[case["key"]].verify(base64.b64decode(signature["signature"]), message)
        assert verified is signature["valid"], signature["why"]


@pytest.mark.parametrize("case", VECTORS["statements"], ids=name_of)
def test_a_signature_is_worth_nothing_in_any_other_place(case: Any) -> None:
    good = base64.b64decode(case["signatures"][0]["signature"])
    key = KEYS[case["key"]]
    others = [each for each in VECTORS["statements"] if each["message"] != case["message"]]
    assert others
    assert not any(key.verify(good, bytes.fromhex(each["message"])) for each in others)


def proofs_at_the_time() -> Proofs:
    """A server that is asked when the vectors say, and that has seen nothing before."""
    return proofs_after(set())


def proofs_after(seen: set[bytes]) -> Proofs:
    """The same with a memory that outlives it."""

    async def remember(digest: bytes, until: int, now: int) -> bool:
        is_new = digest not in seen
        seen.add(digest)
        return is_new

    keys = ServerKeys.of(b"any secret: no case holds a nonce of it")
    return Proofs(keys, SetClock(PROOFS["now"]), remember)


def asked(case: Any) -> Asked:
    return Asked(case["method"], case["path"], [PROOFS["origin"]], case["proof"])


@pytest.mark.parametrize("case", PROOFS["cases"], ids=name_of)
async def test_a_proof_is_taken_or_refused_with_its_code(case: Any) -> None:
    proofs = proofs_at_the_time()
    if case["code"] is None:
        date = await proofs.check(asked(case), KEYS[case["key"]], case["token"])
        assert (date.at, date.by_nonce) == (case["dated"], False)
        return
    with pytest.raises(NotAuthenticated) as refused:
        await proofs.check(asked(case), KEYS[case["key"]], case["token"])
    assert refused.value.code == case["code"]


@pytest.mark.parametrize("case", VALID_PROOFS, ids=name_of)
async def test_a_good_proof_works_once(case: Any) -> None:
    proofs = proofs_at_the_time()
    await proofs.check(asked(case), KEYS[case["key"]], case["token"])
    with pytest.raises(ProofReplayed):
        await proofs.check(asked(case), KEYS[case["key"]], case["token"])


@pytest.mark.parametrize("case", VALID_PROOFS, ids=name_of)
async def test_a_good_proof_is_refused_for_another_key(case: Any) -> None:
    for name, key in KEYS.items():
        if name != case["key"]:
            with pytest.raises(NotAuthenticated) as refused:
                await proofs_at_the_time().check(asked(case), key, case["token"])
            assert refused.value.code == "proof_invalid"


async def test_without_a_header_a_proof_is_asked_for() -> None:
    nothing = Asked("POST", "/auth/pairings", [PROOFS["origin"]], None)
    with pytest.raises(NotAuthenticated) as refused:
        await proofs_at_the_time().check(nothing, KEYS["p256"], None)
    assert refused.value.code == "proof_required"


@pytest.mark.parametrize("case", VALID_PROOFS, ids=name_of)
async def test_a_proof_that_was_used_before_a_restart_does_not_work_after_it(case: Any) -> None:
    seen: set[bytes] = set()
    await proofs_after(seen).check(asked(case), KEYS[case["key"]], case["token"])
    with pytest.raises(ProofReplayed):
        await proofs_after(seen).check(asked(case), KEYS[case["key"]], case["token"])


def test_the_vectors_hold_both_signature_schemes_and_every_refusal() -> None:
    codes = {case["code"] for case in PROOFS["cases"]}
    assert codes == {None, "proof_invalid", "use_dpop_nonce"}
    assert {entry["algorithm"] for entry in VECTORS["keys"]} == {"PS256", "ES256"}
