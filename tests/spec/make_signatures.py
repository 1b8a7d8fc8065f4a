"""Makes spec/vectors/signatures.json: what devices sign, and proofs of possession, good and bad.

Keys, salts and nonces come from fixed seeds and both signature schemes are run without chance, so
anybody can make the same file again and see that nothing is hidden in it. The private halves are
in the file: no device may ever use these keys.

Run it as `python -m tests.spec.make_signatures`; it takes a few seconds.
"""

import base64
import hashlib
import json
import random
from functools import cached_property
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)
from cryptography.hazmat.primitives.hashes import SHA256

from tests.kit.keys import DeviceKey, b64, b64url, lp

VECTORS = Path(__file__).parents[2] / "spec" / "vectors" / "signatures.json"
SEED = "echolia test vectors: these keys are public, use them for nothing else"
ORIGIN = "https://sync.example"
NOW = 1_800_000_000
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
CHALLENGE = bytes(range(72))

Entry = dict[str, Any]


# --- keys and signatures without chance


def is_prime(number: int) -> bool:
    """Miller and Rabin's test with twelve bases: enough for numbers drawn at random."""
    odd, twos = number - 1, 0
    while odd % 2 == 0:
        odd, twos = odd // 2, twos + 1
    for base in (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37):
        power = pow(base, odd, number)
        if power in (1, number - 1):
            continue
        if not any((power := power * power % number) == number - 1 for _ in range(twos - 1)):
            return False
    return True


def seeded_prime(chance: random.Random, bits: int) -> int:
    """The next prime of that size, its two highest bits set, that is not 1 modulo 65537."""
    while True:
        number = chance.getrandbits(bits) | (3 << (bits - 2)) | 1
        if number % 65537 != 1 and pow(2, number - 1, number) == 1 and is_prime(number):
            return number


def rsa_key() -> rsa.RSAPrivateKey:
    """RSA-3072 from the seed."""
    chance = random.Random(SEED)
    p, q = seeded_prime(chance, 1536), seeded_prime(chance, 1536)
    d = pow(65537, -1, (p - 1) * (q - 1))
    numbers = rsa.RSAPrivateNumbers(
        p,
        q,
        d,
        rsa.rsa_crt_dmp1(d, p),
        rsa.rsa_crt_dmq1(d, q),
        rsa.rsa_crt_iqmp(p, q),
        rsa.RSAPublicNumbers(65537, p * q),
    )
    return numbers.private_key()


def p256_key(name: str) -> ec.EllipticCurvePrivateKey:
    """P-256 from the seed and a name."""
    secret = int.from_bytes(hashlib.sha256(f"{SEED}/{name}".encode()).digest(), "big")
    return ec.derive_private_key(secret % (P256_ORDER - 1) + 1, ec.SECP256R1())


class SeededKey(DeviceKey):
    """A device key that signs the same message always the same way."""

    def sign(self, message: bytes, salt_bytes: int = 32) -> bytes:
        if isinstance(self.private, ec.EllipticCurvePrivateKey):
            r, s = self.scalars(message)
            return r.to_bytes(32, "big") + s.to_bytes(32, "big")
        salt = hashlib.sha512(b"salt" + message).digest()[:salt_bytes]
        encoded = int.from_bytes(pss_encoded(message, salt, 3071), "big")
        numbers = self.private.private_numbers()
        return pow(encoded, numbers.d, numbers.public_numbers.n).to_bytes(384, "big")

    def scalars(self, message: bytes) -> tuple[int, int]:
        """ECDSA's r and s by RFC 6979."""
        assert isinstance(self.private, ec.EllipticCurvePrivateKey)
        signed = self.private.sign(message, ec.ECDSA(SHA256(), deterministic_signing=True))
        return decode_dss_signature(signed)

    @cached_property
    def private_jwk(self) -> dict[str, str]:
        if isinstance(self.private, ec.EllipticCurvePrivateKey):
            return {**self.jwk, "d": number(self.private.private_numbers().private_value, 32)}
        held = self.private.private_numbers()
        parts = {"p": held.p, "q": held.q, "dp": held.dmp1, "dq": held.dmq1, "qi": held.iqmp}
        exact = {name: number(value, 192) for name, value in parts.items()}
        return {**self.jwk, "d": number(held.d, 384), **exact}


def number(value: int, width: int) -> str:
    return b64url(value.to_bytes(width, "big"))


def pss_encoded(message: bytes, salt: bytes, bits: int) -> bytes:
    """EMSA-PSS-ENCODE of RFC 8017 section 9.1.1 with SHA-256 and MGF1."""
    size = (bits + 7) // 8
    digest = hashlib.sha256(bytes(8) + hashlib.sha256(message).digest() + salt).digest()
    block = bytes(size - len(salt) - 34) + b"\x01" + salt
    blocks = -(-len(block) // 32)
    mask = b"".join(hashlib.sha256(digest + i.to_bytes(4, "big")).digest() for i in range(blocks))
    masked = bytearray(a ^ b for a, b in zip(block, mask, strict=False))
    masked[0] &= 0xFF >> (8 * size - bits)
    return bytes(masked) + digest + b"\xbc"


RSA = SeededKey(rsa_key())
P256 = SeededKey(p256_key("p256"))
OTHER = SeededKey(p256_key("other"))
KEYS = {"rsa": RSA, "p256": P256, "other": OTHER}


def key_entry(name: str, key: SeededKey) -> Entry:
    return {
        "name": name,
        "comment": "TEST KEY: its private half is public. Never register it.",
        "algorithm": key.algorithm,
        "public_key": key.pem,
        "key_thumbprint": key.thumbprint_text,
        "private_jwk": key.private_jwk,
    }


# --- statements


def flipped(raw: bytes, at: int) -> bytes:
    return raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :]


def signed(signature: bytes, *, valid: bool, why: str) -> Entry:
    return {"signature": b64(signature), "valid": valid, "why": why}


def rsa_signatures(message: bytes, unlike: bytes) -> list[Entry]:
    assert isinstance(RSA.private, rsa.RSAPrivateKey)
    good = RSA.sign(message)
    return [
        signed(good, valid=True, why="PS256, salt of 32 bytes"),
        signed(RSA.sign(message, 0), valid=False, why="PSS without a salt"),
        signed(RSA.sign(message, 20), valid=False, why="PSS, salt of 20 bytes"),
        signed(RSA.sign(message, 64), valid=False, why="PSS, salt of 64 bytes"),
        signed(
            RSA.private.sign(message, PKCS1v15(), SHA256()), valid=False, why="PKCS #1 v1.5 (RS256)"
        ),
        signed(RSA.sign(unlike), valid=False, why="over another message"),
        signed(flipped(good, 0), valid=False, why="first byte changed"),
        signed(flipped(good, 383), valid=False, why="last byte changed"),
        signed(good[:-1], valid=False, why="one byte short"),
        signed(b"\0" + good, valid=False, why="one zero byte in front"),
        signed(b"", valid=False, why="nothing"),
    ]


def p256_signatures(message: bytes, unlike: bytes) -> list[Entry]:
    good = P256.sign(message)
    r, s = P256.scalars(message)
    mirrored = good[:32] + (P256_ORDER - s).to_bytes(32, "big")
    return [
        signed(good, valid=True, why="ES256, r and s of 32 bytes each"),
        signed(mirrored, valid=True, why="n - s in place of s: a signature is no identifier"),
        signed(encode_dss_signature(r, s), valid=False, why="DER"),
        signed(P256.sign(unlike), valid=False, why="over another message"),
        signed(OTHER.sign(message), valid=False, why="by another key"),
        signed(flipped(good, 0), valid=False, why="first byte changed"),
        signed(flipped(good, 63), valid=False, why="last byte changed"),
        signed(bytes(64), valid=False, why="r and s zero"),
        signed(good[:32] + bytes(32), valid=False, why="s zero"),
        signed(bytes(32) + good[32:], valid=False, why="r zero"),
        signed(P256_ORDER.to_bytes(32, "big") + good[32:], valid=False, why="r is the order"),
        signed(good[:-1], valid=False, why="one byte short"),
        signed(good + b"\0", valid=False, why="one zero byte behind"),
        signed(b"", valid=False, why="nothing"),
    ]


def statement(
    kind: str, key: str, fields: Entry, message: bytes, unlike: bytes, name: str
) -> Entry:
    signatures = rsa_signatures if key == "rsa" else p256_signatures
    return {
        "name": name,
        "kind": kind,
        "key": key,
        **fields,
        "message": message.hex(),
        "signatures": signatures(message, unlike),
    }


def answer(purpose: str, key: str, origin: str, name: str) -> Entry:
    thumbprint = KEYS[key].thumbprint
    other = {"register": "login", "login": "register", "delete_account": "login"}[purpose]
    message, unlike = (
        lp(f"echolia/{each.replace('_', '-')}/v1".encode(), origin.encode(), CHALLENGE, thumbprint)
        for each in (purpose, other)
    )
    fields = {"origin": origin, "challenge": b64(CHALLENGE)}
    return statement(purpose, key, fields, message, unlike, name)


def wrapping_key(key: str, wrapping: DeviceKey, name: str) -> Entry:
    def message(origin: str) -> bytes:
        parts = (origin.encode(), KEYS[key].thumbprint, wrapping.der)
        return lp(b"echolia/wrapping-key/v1", *parts)

    fields = {"origin": ORIGIN, "wrapping_key": wrapping.pem}
    unlike = message("https://other.example")
    return statement("wrapping_key", key, fields, message(ORIGIN), unlike, name)


def join(key: str, name: str) -> Entry:
    def transcript(pairing_id: bytes) -> bytes:
        both = (OTHER.thumbprint, KEYS[key].thumbprint)
        parts = (ORIGIN.encode(), pairing_id, *both, bytes(range(16)))
        return hashlib.sha256(lp(b"echolia/pair/v1", *parts)).digest()

    pairing_id = bytes.fromhex("0f0e0d0c0b0a49088706050403020100")
    fields = {
        "origin": ORIGIN,
        "pairing_id": "0f0e0d0c-0b0a-4908-8706-050403020100",
        "existing_key": "other",
        "nonce": b64(bytes(range(16))),
    }
    message, unlike = transcript(pairing_id), transcript(bytes(16))
    return statement("pair_join", key, fields, message, unlike, name)


def approval(key: str, name: str) -> Entry:
    transcript2, wrapped, sealed = bytes([2]) * 32, bytes([3]) * 384, bytes([4]) * 100

    def message(sealed: bytes) -> bytes:
        handed_over = hashlib.sha256(wrapped + sealed).digest()
        return lp(b"echolia/pair/v1/approve", transcript2, handed_over)

    fields = {
        "transcript2": b64(transcript2),
        "wrapped_cek": b64(wrapped),
        "ciphertext": b64(sealed),
    }
    return statement("pair_approve", key, fields, message(sealed), message(b"other"), name)


def statements() -> list[Entry]:
    return [
        answer("register", "rsa", ORIGIN, "register with RSA"),
        answer("register", "p256", ORIGIN, "register with P-256"),
        answer("login", "rsa", ORIGIN, "log in with RSA"),
        answer("login", "p256", "http://localhost:8000", "log in; the origin has a port"),
        answer("delete_account", "rsa", ORIGIN, "delete the account, with RSA"),
        answer("delete_account", "p256", ORIGIN, "delete the account, with P-256"),
        wrapping_key("rsa", P256, "an RSA key vouches for a P-256 wrapping key"),
        wrapping_key("p256", RSA, "a P-256 key vouches for an RSA wrapping key"),
        join("rsa", "join a pairing with RSA: the message is T itself, 32 bytes"),
        join("p256", "join a pairing with P-256"),
        approval("p256", "approve a pairing"),
    ]


# --- proofs of possession


def part(value: object) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value, separators=(",", ":")).encode()
    return b64url(raw)


def made(head: object, claims: object, key: SeededKey) -> str:
    text = f"{part(head)}.{part(claims)}"
    return f"{text}.{b64url(key.sign(text.encode()))}"


class Proofs:
    """Collects cases; each has a `jti` of its own unless told otherwise."""

    def __init__(self) -> None:
        self.cases: list[Entry] = []

    def add(
        self,
        name: str,
        code: str | None = None,
        *,
        key: SeededKey = P256,
        signer: SeededKey | None = None,
        head: Entry | None = None,
        claims: Entry | None = None,
        proof: str | None = None,
        **asked: Any,
    ) -> None:
        token = asked.get("token")
        plain: Entry = {
            "htm": "POST",
            "htu": f"{ORIGIN}/auth/pairings",
            "iat": NOW,
            "jti": f"case-{len(self.cases)}",
            "ath": b64url(hashlib.sha256(token.encode()).digest()) if token else None,
        }
        full_head = {"typ": "dpop+jwt", "alg": key.algorithm, "jwk": key.jwk} | (head or {})
        full_claims = plain | (claims or {})
        if proof is None:
            proof = made(present(full_head), present(full_claims), signer or key)
        entry: Entry = {
            "name": name,
            "key": next(name for name, each in KEYS.items() if each is asked.get("stored", key)),
            "method": "POST",
            "path": "/auth/pairings",
            "token": token,
            "proof": proof,
            "code": code,
        }
        entry |= {name: asked[name] for name in ("method", "path") if name in asked}
        if code is None:
            entry["dated"] = asked.get("dated", NOW)
        self.cases.append(entry)


def present(members: Entry) -> Entry:
    return {name: value for name, value in members.items() if value is not None}


TOKEN = "an.access.token"


def proofs() -> list[Entry]:
    all_cases = Proofs()
    for collect in (good_proofs, dated_proofs, bad_heads, bad_claims, bad_forms):
        collect(all_cases)
    return all_cases.cases


def good_proofs(to: Proofs) -> None:
    to.add("ES256, without a token")
    to.add("PS256, without a token", key=RSA)
    to.add("with the hash of the access token", token=TOKEN)
    to.add("a hash where no token is asked for", claims={"ath": "anything"})
    to.add("scheme and host in other case", claims={"htu": "HTTPS://SYNC.Example/auth/pairings"})
    to.add("the default port written out", claims={"htu": "https://sync.example:443/auth/pairings"})
    to.add("another method", method="DELETE", claims={"htm": "DELETE"})
    to.add("the root path", path="/", claims={"htu": ORIGIN + "/"})
    to.add("the root path, left out", path="/", claims={"htu": ORIGIN})
    to.add("members that nobody knows", head={"x": 1}, claims={"y": [None]})
    to.add("a jwk with members beside the key's", head={"jwk": {**P256.jwk, "kid": "mine"}})
    to.add("a jti of 256 characters", claims={"jti": "j" * 256})


def dated_proofs(to: Proofs) -> None:
    to.add("300 s old", claims={"iat": NOW - 300}, dated=NOW - 300)
    to.add("300 s ahead: dated by its arrival", claims={"iat": NOW + 300})
    for seconds in (-301, 301, -(10**9), 10**30):
        to.add(f"{seconds} s off", "use_dpop_nonce", claims={"iat": NOW + seconds})
    faulty = {
        "a nonce that is not ours": "bm9uY2U",
        "a nonce of the right length that is not ours": b64url(bytes(24)),
        "an empty nonce": "",
        "a nonce that is no text": 5,
    }
    for name, nonce in faulty.items():
        to.add(name, "use_dpop_nonce", claims={"nonce": nonce})


def bad_heads(to: Proofs) -> None:
    heads: dict[str, Entry] = {
        "no typ": {"typ": None},
        "another typ": {"typ": "JWT"},
        "typ in capitals": {"typ": "DPOP+JWT"},
        "no alg": {"alg": None},
        "alg none": {"alg": "none"},
        "alg of the other kind of key": {"alg": "PS256"},
        "alg HS256": {"alg": "HS256"},
        "no jwk": {"jwk": None},
        "a jwk that is text": {"jwk": "key"},
        "a jwk without y": {"jwk": {name: P256.jwk[name] for name in ("kty", "crv", "x")}},
        "a jwk of another kind": {"jwk": {"kty": "oct", "k": "AAAA"}},
        "a jwk with its private half": {"jwk": P256.private_jwk},
        "crit": {"crit": ["b64"], "b64": False},
    }
    for name, head in heads.items():
        to.add(name, "proof_invalid", head=head)
    to.add("RS256", "proof_invalid", key=RSA, head={"alg": "RS256"})
    to.add("the jwk and signature of another key", "proof_invalid", key=OTHER, stored=P256)
    to.add("the jwk of the key, another key's signature", "proof_invalid", signer=OTHER)


def bad_claims(to: Proofs) -> None:
    faulty: dict[str, Entry] = {
        "no htm": {"htm": None},
        "another htm": {"htm": "GET"},
        "htm in small letters": {"htm": "post"},
        "no htu": {"htu": None},
        "another path": {"htu": f"{ORIGIN}/auth/refresh"},
        "a slash at the end": {"htu": f"{ORIGIN}/auth/pairings/"},
        "another host": {"htu": "https://sync.example.evil/auth/pairings"},
        "another scheme": {"htu": "http://sync.example/auth/pairings"},
        "another port": {"htu": "https://sync.example:8443/auth/pairings"},
        "a path alone": {"htu": "/auth/pairings"},
        "a query": {"htu": f"{ORIGIN}/auth/pairings?a=b"},
        "a fragment": {"htu": f"{ORIGIN}/auth/pairings#a"},
        "an empty query": {"htu": f"{ORIGIN}/auth/pairings?"},
        "an empty fragment": {"htu": f"{ORIGIN}/auth/pairings#"},
        "a blank in front": {"htu": f" {ORIGIN}/auth/pairings"},
        "a tab within": {"htu": f"{ORIGIN}/auth/pair\tings"},
        "a backslash for a slash": {"htu": "https://sync.example\\auth/pairings"},
        "an empty user": {"htu": "https://@sync.example/auth/pairings"},
        "a user": {"htu": "https://me@sync.example/auth/pairings"},
        "a port that is no number": {"htu": "https://sync.example:x/auth/pairings"},
        "no jti": {"jti": None},
        "an empty jti": {"jti": ""},
        "a jti that is a number": {"jti": 7},
        "a jti of 257 characters": {"jti": "j" * 257},
        "a jti with a line break": {"jti": "a\nb"},
        "no iat": {"iat": None},
        "iat as text": {"iat": str(NOW)},
        "iat true": {"iat": True},
        "iat with a fraction": {"iat": NOW + 0.5},
    }
    for name, claims in faulty.items():
        to.add(name, "proof_invalid", claims=claims)
    to.add("no ath though there is a token", "proof_invalid", token=TOKEN, claims={"ath": None})
    other = b64url(hashlib.sha256(b"another").digest())
    to.add("the ath of another token", "proof_invalid", token=TOKEN, claims={"ath": other})
    to.add("the ath in hex", "proof_invalid", token=TOKEN, claims={"ath": hexed(TOKEN)})


def hexed(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def bad_forms(to: Proofs) -> None:
    head = {"typ": "dpop+jwt", "alg": "ES256", "jwk": P256.jwk}
    claims = {"htm": "POST", "htu": f"{ORIGIN}/auth/pairings", "iat": NOW, "jti": "form"}
    good = made(head, claims, P256)
    first, second, third = good.split(".")
    r, s = P256.scalars(f"{first}.{second}".encode())
    doubled = json.dumps(claims)[:-1].encode() + b', "htm": "POST"}'
    for name, proof in {
        "empty": "",
        "no dots": "proof",
        "two parts": f"{first}.{second}",
        "four parts": f"{good}.{third}",
        "no signature": f"{first}.{second}.",
        "base64 with padding": f"{first}.{second}.{third}==",
        "standard base64": good.replace("-", "+").replace("_", "/"),
        "stray bits at the end": f"{first}.{second}.{stray(third)}",
        "a DER signature": f"{first}.{second}.{b64url(encode_dss_signature(r, s))}",
        "a changed signature": f"{first}.{second}.{b64url(flipped(P256.sign(b'x'), 3))}",
        "claims that are a list": made(head, [claims], P256),
        "claims that are not JSON": made(head, b"claims", P256),
        "a claim given twice": made(head, doubled, P256),
        "a head that is not UTF-8": made(b'{"typ": "\xff"}', claims, P256),
        "longer than 8192 characters": made(head, claims | {"x": "x" * 6200}, P256),
    }.items():
        to.add(name, "proof_invalid", proof=proof)


def stray(part_text: str) -> str:
    """The same bytes with a bit set that no byte owns: 64 bytes leave four bits over."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    changed = part_text[:-1] + alphabet[alphabet.index(part_text[-1]) | 1]
    assert base64.urlsafe_b64decode(changed + "==") == base64.urlsafe_b64decode(part_text + "==")
    return changed


def main() -> None:
    """Write the file."""
    content = {
        "comment": "Test vectors. Every private key in here is public: no device may use one.",
        "keys": [key_entry(name, key) for name, key in KEYS.items()],
        "statements": statements(),
        "proofs": {
            "origin": ORIGIN,
            "now": NOW,
            "cases": proofs(),
        },
    }
    VECTORS.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
