"""Which keys a device may have, and what their signatures are worth."""

import base64
import json
import math
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from app.auth import key_errors, weak_keys
from app.auth.key_errors import PublicKeyIsPrivate, PublicKeyRefused
from app.auth.public_key import (
    PublicKey,
    jwk_thumbprint,
    load_public_key,
    parse_thumbprint,
    thumbprint_text,
    validate_public_key,
    validate_wrapping_key,
)
from tests.make_vectors.public_keys import (
    integer,
    p256_der,
    pem,
    rsa_der,
    sequence,
    spki,
    tlv,
)

VECTORS = Path(__file__).parents[2] / "spec" / "vectors"
ENTRIES: list[dict[str, Any]] = json.loads((VECTORS / "public_keys.json").read_text())
THUMBPRINTS: list[dict[str, Any]] = json.loads((VECTORS / "thumbprint.json").read_text())
VALID = [entry for entry in ENTRIES if entry["valid"]]
REFUSED = [entry for entry in ENTRIES if not entry["valid"]]
MESSAGE = b"echolia"

# RFC 7515 appendix A.3
A3_INPUT = (
    b"eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQog"
    b"Imh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
)
A3_SIGNATURE = (
    "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
)

# A machine that is busy elsewhere is no reason to fail.
unhurried = settings(deadline=None)

Validate = Callable[..., PublicKey]


def by_name(entry: dict[str, Any]) -> str:
    return str(entry["name"])


def entry_named(name: str) -> dict[str, Any]:
    return next(entry for entry in ENTRIES if entry["name"] == name)


def pem_of(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> str:
    public = key.public_key()
    return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def raw_signature(key: ec.EllipticCurvePrivateKey, message: bytes) -> bytes:
    r, s = decode_dss_signature(key.sign(message, ec.ECDSA(SHA256())))
    return r.to_bytes(32) + s.to_bytes(32)


def pss_signature(key: rsa.RSAPrivateKey, message: bytes, salt_bytes: int = 32) -> bytes:
    pss = padding.PSS(padding.MGF1(SHA256()), salt_bytes)
    return key.sign(message, pss, SHA256())


@pytest.fixture(scope="module")
def rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


@pytest.fixture(scope="module")
def p256_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


# --- Which keys are let in


@pytest.mark.parametrize("validate", [validate_public_key, validate_wrapping_key])
@pytest.mark.parametrize("entry", VALID, ids=by_name)
def test_every_valid_vector_is_let_in_with_its_facts(
    validate: Validate, entry: dict[str, Any]
) -> None:
    key = validate(entry["pem"], strict=entry.get("strict", False))
    assert (key.kind, key.bits) == (entry["kind"], entry["bits"])
    assert thumbprint_text(key.thumbprint) == entry["thumbprint"]


@pytest.mark.parametrize("entry", REFUSED, ids=by_name)
def test_every_invalid_vector_is_refused_with_its_code(entry: dict[str, Any]) -> None:
    with pytest.raises(PublicKeyRefused) as refused:
        validate_public_key(entry["pem"], strict=entry.get("strict", False))
    assert refused.value.code == entry["code"]
    assert refused.value.extras.get("weakness") == entry.get("weakness")
    assert refused.value.status == 422


@pytest.mark.parametrize("entry", REFUSED, ids=by_name)
def test_a_refused_wrapping_key_is_named_as_the_field_at_fault(entry: dict[str, Any]) -> None:
    with pytest.raises(PublicKeyRefused) as refused:
        validate_wrapping_key(entry["pem"], strict=entry.get("strict", False))
    assert refused.value.code == entry["code"]
    assert refused.value.extras["errors"] == [{"path": "wrapping_key", "reason": "is refused"}]


def test_the_vectors_show_every_code_and_every_weakness() -> None:
    codes = {leaf.code for leaf in PublicKeyRefused.__subclasses__()}
    assert {entry["code"] for entry in REFUSED} == codes
    weaknesses = {entry["weakness"] for entry in REFUSED if "weakness" in entry}
    assert weaknesses == set(weak_keys.Weakness.__args__)  # type: ignore[attr-defined]


def test_the_published_keys_are_those_of_the_vectors() -> None:
    published = {e["thumbprint"] for e in REFUSED if e["code"] == "public_key_known"}
    assert published == weak_keys._PUBLISHED


@pytest.mark.parametrize("bits", [2048, 2050, 2056, 3000, 3072, 4096])
def test_an_honest_rsa_key_of_any_size_is_let_in(bits: int) -> None:
    key = validate_public_key(pem_of(rsa.generate_private_key(65537, bits)))
    assert (key.kind, key.bits) == ("RSA", bits)


def test_honest_p256_keys_are_let_in() -> None:
    for _ in range(50):
        key = validate_public_key(pem_of(ec.generate_private_key(ec.SECP256R1())), strict=True)
        assert (key.kind, key.bits) == ("P-256", 256)


def test_a_private_key_is_called_that_however_long_it_is(rsa_key: rsa.RSAPrivateKey) -> None:
    der = rsa.generate_private_key(65537, 3072).private_bytes(
        Encoding.DER, PrivateFormat.PKCS8, NoEncryption()
    )
    for text in (pem(der, "PRIVATE KEY"), " " * 15_000 + "-----BEGIN RSA PRIVATE KEY-----"):
        assert len(text) > 2048
        with pytest.raises(PublicKeyIsPrivate):
            validate_public_key(text)
    pkcs1 = rsa_key.private_bytes(Encoding.DER, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    with pytest.raises(PublicKeyIsPrivate):
        validate_public_key(pem(pkcs1))


def test_private_as_a_part_of_the_base64_is_no_private_key() -> None:
    with pytest.raises(key_errors.PublicKeyMalformed):
        validate_public_key("-----BEGIN PUBLIC KEY-----\nMFkwPRIVATEw\n-----END PUBLIC KEY-----\n")


@pytest.mark.parametrize("entry", REFUSED, ids=by_name)
def test_no_refusal_quotes_a_word_of_the_key(entry: dict[str, Any]) -> None:
    with pytest.raises(PublicKeyRefused) as refused:
        validate_public_key(entry["pem"], strict=entry.get("strict", False))
    error: BaseException | None = refused.value
    said = f"{refused.value.title} {refused.value.detail} {refused.value.extras}"
    while error is not None:
        said += f" {error!r}"
        error = error.__cause__ or error.__context__
    body = "".join(line for line in entry["pem"].splitlines() if "-----" not in line)
    assert not any(body[at : at + 8] in said for at in range(len(body) - 7))


def test_a_key_shows_nothing_of_itself_but_its_thumbprint() -> None:
    key = validate_public_key(VALID[0]["pem"])
    assert key.pem not in repr(key)
    assert repr(key.der) not in repr(key)
    assert "thumbprint=" in repr(key)


# --- Any input whatever


def outcome(text: str) -> PublicKey | PublicKeyRefused:
    try:
        return validate_public_key(text)
    except PublicKeyRefused as refused:
        return refused


def assert_key_or_refusal(text: str) -> None:
    found = outcome(text)
    if isinstance(found, PublicKey):
        spelling = text.replace("\r\n", "\n").removesuffix("\n") + "\n"
        assert found.pem == spelling


@unhurried
@given(st.text())
def test_any_text_is_refused_in_words_of_ours(text: str) -> None:
    assert isinstance(outcome(text), PublicKeyRefused)


@unhurried
@given(st.sampled_from(ENTRIES), st.data())
def test_a_changed_key_text_is_the_one_spelling_or_refused(
    entry: dict[str, Any], data: st.DataObject
) -> None:
    text = entry["pem"]
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 80)))
    put = data.draw(st.text(max_size=3) | st.sampled_from([text[start:end] * 2, "\r\n", "\n"]))
    assert_key_or_refusal(text[:start] + put + text[end:])


@unhurried
@given(st.sampled_from(VALID), st.data())
def test_changed_der_in_good_dress_is_a_key_or_refused(
    entry: dict[str, Any], data: st.DataObject
) -> None:
    der = validate_public_key(entry["pem"]).der
    start = data.draw(st.integers(0, len(der)) | st.integers(0, 40))
    end = data.draw(st.integers(start, min(len(der), start + 8)))
    put = data.draw(st.binary(max_size=8))
    changed = der[:start] + put + der[end:]
    assert_key_or_refusal(pem(changed))


@unhurried
@given(st.sampled_from(VALID), st.data())
def test_der_cut_short_is_refused(entry: dict[str, Any], data: st.DataObject) -> None:
    der = validate_public_key(entry["pem"]).der
    assert isinstance(
        outcome(pem(der[: data.draw(st.integers(0, len(der) - 1))])), PublicKeyRefused
    )


BIG = st.integers(-(2**64), 2**64) | st.integers(2**2000, 2**4200) | st.integers(0, 2**11_000)


@unhurried
@given(BIG, st.just(65537) | BIG)
def test_any_two_numbers_as_an_rsa_key_are_a_key_or_refused(modulus: int, exponent: int) -> None:
    assert_key_or_refusal(pem(rsa_der(modulus, exponent)))


@unhurried
@given(st.binary(max_size=70))
def test_any_bytes_as_a_p256_point_are_refused(point: bytes) -> None:
    assert isinstance(outcome(pem(p256_der(point))), PublicKeyRefused)


DER = st.recursive(
    st.builds(tlv, st.integers(0, 255), st.binary(max_size=20)) | st.builds(integer, BIG),
    lambda parts: st.lists(parts, max_size=4).map(lambda some: sequence(*some)),
)


@unhurried
@given(DER, DER)
def test_any_algorithm_around_any_key_is_refused(algorithm: bytes, key: bytes) -> None:
    assert isinstance(outcome(pem(spki(algorithm, key))), PublicKeyRefused)


@unhurried
@given(st.binary(max_size=300))
def test_bytes_that_are_no_stored_key_are_refused(der: bytes) -> None:
    with pytest.raises(PublicKeyRefused):
        load_public_key(der)


# --- Signatures


@pytest.mark.parametrize("bits", [2048, 2056, 3000, 3072])
def test_ps256_with_a_salt_of_32_bytes_is_verified(bits: int) -> None:
    private = rsa.generate_private_key(65537, bits)
    key = validate_public_key(pem_of(private))
    assert key.verify(pss_signature(private, MESSAGE), MESSAGE)


def test_any_other_rsa_signature_is_false(rsa_key: rsa.RSAPrivateKey) -> None:
    key = validate_public_key(pem_of(rsa_key))
    good = pss_signature(rsa_key, MESSAGE)
    assert not key.verify(good, b"another")
    assert not key.verify(good[:-1] + bytes([good[-1] ^ 1]), MESSAGE)
    for wrong in (b"", good[:-1], good + b"\0", b"\0" + good, bytes(256), b"\xff" * 256):
        assert not key.verify(wrong, MESSAGE)
    for salt_bytes in (0, 20, 31, 33, 222):
        assert not key.verify(pss_signature(rsa_key, MESSAGE, salt_bytes), MESSAGE)
    assert not key.verify(rsa_key.sign(MESSAGE, padding.PKCS1v15(), SHA256()), MESSAGE)
    other = rsa.generate_private_key(65537, 2048)
    assert not key.verify(pss_signature(other, MESSAGE), MESSAGE)


def test_es256_as_raw_r_and_s_is_verified(p256_key: ec.EllipticCurvePrivateKey) -> None:
    key = validate_public_key(pem_of(p256_key))
    for _ in range(20):
        assert key.verify(raw_signature(p256_key, MESSAGE), MESSAGE)


def test_the_es256_signature_of_rfc_7515_is_verified() -> None:
    document = entry_named("published: RFC 7515 appendix A.3")
    der = base64.b64decode("".join(document["pem"].splitlines()[1:-1]))
    key = load_public_key(der)
    signature = base64.urlsafe_b64decode(A3_SIGNATURE + "==")
    assert key.verify(signature, A3_INPUT)
    assert not key.verify(signature, A3_INPUT + b"0")


def test_any_other_ec_signature_is_false(p256_key: ec.EllipticCurvePrivateKey) -> None:
    key = validate_public_key(pem_of(p256_key))
    good = raw_signature(p256_key, MESSAGE)
    assert not key.verify(good, b"another")
    assert not key.verify(p256_key.sign(MESSAGE, ec.ECDSA(SHA256())), MESSAGE)
    for wrong in (b"", good[:-1], good + b"\0", bytes(64), bytes(32) + good[32:], b"\xff" * 64):
        assert not key.verify(wrong, MESSAGE)
    other = ec.generate_private_key(ec.SECP256R1())
    assert not key.verify(raw_signature(other, MESSAGE), MESSAGE)


@pytest.mark.parametrize("algorithm", ["PS256", "ES256"])
def test_signatures_that_a_jose_library_makes_are_verified(
    algorithm: str, rsa_key: rsa.RSAPrivateKey, p256_key: ec.EllipticCurvePrivateKey
) -> None:
    private = rsa_key if algorithm == "PS256" else p256_key
    message, _, signature = jwt.encode({}, private, algorithm=algorithm).encode().rpartition(b".")
    key = validate_public_key(pem_of(private))
    assert key.verify(jwt.utils.base64url_decode(signature), message)


# --- The same key again


@pytest.mark.parametrize("entry", VALID, ids=by_name)
def test_a_stored_key_is_the_key_that_was_let_in(entry: dict[str, Any]) -> None:
    key = validate_public_key(entry["pem"])
    assert load_public_key(key.der) == key
    assert validate_public_key(key.pem) == key
    assert hash(load_public_key(key.der)) == hash(key)


def test_a_stored_key_is_opened_once() -> None:
    der = validate_public_key(VALID[0]["pem"]).der
    assert load_public_key(der) is load_public_key(bytes(bytearray(der)))


def test_keys_differ_when_anything_in_them_does() -> None:
    keys = [validate_public_key(entry["pem"]) for entry in VALID]
    assert len(set(keys)) == len({entry["thumbprint"] for entry in VALID}) > 1


# --- Thumbprints


@pytest.mark.parametrize("entry", THUMBPRINTS, ids=by_name)
def test_thumbprints_are_those_of_the_documents(entry: dict[str, Any]) -> None:
    assert thumbprint_text(jwk_thumbprint(entry["jwk"])) == entry["thumbprint"]
    key = load_public_key(base64.b64decode("".join(entry["pem"].splitlines()[1:-1])))
    assert thumbprint_text(key.thumbprint) == entry["thumbprint"]
    assert key.jwk == entry["jwk"]


def test_members_outside_the_thumbprint_do_not_change_it() -> None:
    jwk = THUMBPRINTS[0]["jwk"]
    assert jwk_thumbprint({"kid": "1", **jwk, "alg": "PS256"}) == jwk_thumbprint(jwk)


def test_a_jwk_without_all_its_members_has_no_thumbprint() -> None:
    for jwk in (THUMBPRINTS[0]["jwk"], THUMBPRINTS[1]["jwk"]):
        for name in jwk:
            for wrong in ({}, {name: 1}, {name: None}, {name: ["RSA"]}):
                broken = {k: v for k, v in jwk.items() if k != name} | wrong
                with pytest.raises(ValueError, match=r"key|member"):
                    jwk_thumbprint(broken)
    with pytest.raises(ValueError, match="not an RSA or EC key"):
        jwk_thumbprint({"kty": "OKP", "crv": "Ed25519", "x": "AAAA"})


@unhurried
@given(st.binary(min_size=32, max_size=32))
def test_a_thumbprint_survives_its_text(raw: bytes) -> None:
    text = thumbprint_text(raw)
    assert len(text) == 43
    assert parse_thumbprint(text) == raw


@unhurried
@given(st.text(max_size=60))
def test_no_text_but_a_thumbprint_reads_as_one(text: str) -> None:
    with pytest.raises(ValueError, match="not a thumbprint"):
        parse_thumbprint(text)


def test_a_thumbprint_has_one_spelling() -> None:
    good = thumbprint_text(b"\xfb\xff" * 16)
    assert {"-", "_"} <= set(good)
    stray = good[:-1] + chr(ord(good[-1]) + 1)
    standard = good.replace("-", "+").replace("_", "/")
    for wrong in (good + "=", good[:-1], good + "A", stray, standard, f"{good}\n", f" {good}"):
        with pytest.raises(ValueError, match="not a thumbprint"):
            parse_thumbprint(wrong)


# --- The arithmetic below


def test_primes_are_the_numbers_without_smaller_factors() -> None:
    naive = [n for n in range(2, 500) if all(n % factor for factor in range(2, n))]
    assert weak_keys.primes_below(500) == naive
    assert weak_keys.primes_below(2) == []
    assert len(weak_keys.primes_below(2**16)) == 6542


@unhurried
@given(st.integers(1, 2**600) | st.integers(1, 1000), st.integers(2, 40))
def test_a_root_is_the_largest_whose_power_fits(number: int, degree: int) -> None:
    root = weak_keys.integer_root(number, degree)
    assert root**degree <= number < (root + 1) ** degree


LARGE_PRIMES = st.sampled_from([65537, 65539, 65543, 2**31 - 1, 2**61 - 1, 2**89 - 1])


@unhurried
@given(st.lists(LARGE_PRIMES, min_size=1, max_size=3).map(math.prod), st.integers(2, 40))
def test_powers_are_found_and_their_neighbours_are_not(base: int, degree: int) -> None:
    assert weak_keys.is_perfect_power(base**degree)
    assert not weak_keys.is_perfect_power(base**degree + 2)
    assert not weak_keys.is_perfect_power(base**degree * 1000003)


@pytest.mark.parametrize(("distance", "found"), [(0, True), (99, True), (100, False)])
def test_fermats_method_takes_exactly_100_steps(distance: int, found: bool) -> None:
    middle = 3**700
    half_gap = math.isqrt(2 * middle * distance)
    while (middle - distance) ** 2 < middle**2 - half_gap**2:
        half_gap += 1
    modulus = middle**2 - half_gap**2
    assert math.isqrt(modulus - 1) + 1 == middle - distance
    assert weak_keys.has_close_primes(modulus) is found


def test_small_factors_end_at_two_to_the_sixteenth() -> None:
    prime = 2**521 - 1
    assert weak_keys.has_small_factor(65521 * prime)
    assert not weak_keys.has_small_factor(65537 * prime)


def test_the_roca_fingerprint_is_that_of_the_paper() -> None:
    residues = dict(weak_keys._roca_residues())
    assert list(residues) == weak_keys.primes_below(168)[1:]
    # The powers of 65537, worked out by hand.
    assert residues[3] == {1, 2}
    assert residues[11] == {1, 10}
    assert residues[13] == {1, 3, 4, 9, 10, 12}
    assert residues[37] == {1, 10, 26}
    odds = math.prod(len(powers) / (prime - 1) for prime, powers in residues.items())
    assert -28 < math.log2(odds) < -27.5


def test_a_modulus_outside_one_subgroup_has_no_roca_fingerprint() -> None:
    product = math.prod(weak_keys.primes_below(168))
    modulus = pow(65537, 12345, product) + product
    assert weak_keys.has_roca_fingerprint(modulus)
    for prime, other in pairwise(weak_keys.primes_below(168)[1:]):
        residues = dict(weak_keys._roca_residues())
        outside = set(range(1, prime)) - residues[prime]
        for residue in list(outside)[:1]:
            step = product // prime
            moved = modulus + step * ((residue - modulus) * pow(step, -1, prime) % prime)
            assert moved % prime == residue
            assert moved % other == modulus % other
            assert not weak_keys.has_roca_fingerprint(moved)
