"""Makes spec/vectors/public_keys.json: keys that every implementation must take or refuse alike.

All randomness comes from one fixed seed, so anybody can make the same file again and see that
nothing is hidden in it, and every private half is as public as the file. Published example keys
are not made but copied from their documents, so their entries are carried over.

Run it as `python -m tests.make_vectors.public_keys`; it takes about a minute.
"""

import base64
import hashlib
import json
import math
import random
from collections.abc import Iterator
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, x25519
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

VECTORS = Path(__file__).parents[2] / "spec" / "vectors" / "public_keys.json"

Entry = dict[str, object]

RSA_OID = bytes.fromhex("06092a864886f70d010101")
RSA_PSS_OID = bytes.fromhex("06092a864886f70d01010a")
EC_OID = bytes.fromhex("06072a8648ce3d0201")
P256_OID = bytes.fromhex("06082a8648ce3d030107")
NULL = b"\x05\x00"
P256_FIELD = 2**256 - 2**224 + 2**192 + 2**96 - 1
# RSALib multiplies the first 126 primes, up to 701, for keys of 1984 to 3936 bits.
ROCA_PRIMES = 126


# --- DER and PEM, able to write wrong ones as well


def tlv(tag: int, *contents: bytes) -> bytes:
    """One DER element."""
    body = b"".join(contents)
    if len(body) < 128:
        return bytes([tag, len(body)]) + body
    length = len(body).to_bytes((len(body).bit_length() + 7) // 8)
    return bytes([tag, 0x80 | len(length)]) + length + body


def sequence(*contents: bytes) -> bytes:
    """A DER SEQUENCE."""
    return tlv(0x30, *contents)


def integer(number: int) -> bytes:
    """A DER INTEGER, two's complement."""
    return tlv(2, number.to_bytes(number.bit_length() // 8 + 1, signed=True))


def spki(algorithm: bytes, key: bytes, unused_bits: int = 0) -> bytes:
    """A SubjectPublicKeyInfo around an encoded key."""
    return sequence(algorithm, tlv(3, bytes([unused_bits]), key))


def rsa_der(modulus: int, exponent: int = 65537, algorithm: bytes | None = None) -> bytes:
    """The SPKI of an RSA key, whatever its numbers are."""
    plain = sequence(RSA_OID, NULL) if algorithm is None else algorithm
    return spki(plain, sequence(integer(modulus), integer(exponent)))


def p256_der(point: bytes, unused_bits: int = 0) -> bytes:
    """The SPKI of a P-256 key, whatever its point is."""
    return spki(sequence(EC_OID, P256_OID), point, unused_bits)


def pem(der: bytes, label: str = "PUBLIC KEY", columns: int = 64, newline: str = "\n") -> str:
    """One PEM block with a line break at its end."""
    body = base64.b64encode(der).decode()
    lines = [body[at : at + columns] for at in range(0, len(body), columns)]
    return newline.join([f"-----BEGIN {label}-----", *lines, f"-----END {label}-----", ""])


# --- Numbers, sound and unsound


def is_prime(number: int, rng: random.Random, rounds: int = 20) -> bool:
    """Whether the number passes Miller and Rabin's test for random bases."""
    if number < 4 or number % 2 == 0 or math.gcd(number, _SMALL_PRODUCT) not in (1, number):
        return number in (2, 3)
    twos = ((number - 1) & (1 - number)).bit_length() - 1
    for _ in range(rounds):
        power = pow(rng.randrange(2, number - 1), (number - 1) >> twos, number)
        if power in (1, number - 1):
            continue
        for _ in range(twos - 1):
            power = power * power % number
            if power == number - 1:
                break
        else:
            return False
    return True


_SMALL_PRODUCT = math.prod(
    number for number in range(3, 2000) if all(number % factor for factor in range(2, 45))
) * math.prod((3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43))


def next_prime(number: int, rng: random.Random) -> int:
    """The first prime above the number."""
    candidate = number + 1 | 1
    while not is_prime(candidate, rng):
        candidate += 2
    return candidate


def prime_of(bits: int, rng: random.Random) -> int:
    """A random prime of exactly so many bits, its two highest bits set."""
    return next_prime(rng.getrandbits(bits) | 3 << (bits - 2), rng)


def modulus_of(bits: int, rng: random.Random) -> int:
    """A sound RSA modulus of exactly so many bits."""
    return prime_of((bits + 1) // 2, rng) * prime_of(bits // 2, rng)


def roca_prime(bits: int, rng: random.Random) -> int:
    """A prime as RSALib makes it: k * M + (65537^a mod M)."""
    product = math.prod(_first_primes(ROCA_PRIMES))
    while True:
        k = rng.getrandbits(bits - product.bit_length()) | 3 << (bits - product.bit_length() - 2)
        candidate = k * product + pow(65537, rng.getrandbits(256), product)
        if candidate.bit_length() == bits and is_prime(candidate, rng):
            return candidate


def close_modulus(bits: int, steps: int, rng: random.Random) -> int:
    """A modulus that Fermat's method factors after about so many steps."""
    p = prime_of(bits // 2, rng)
    return p * next_prime(p + math.isqrt(8 * steps * p), rng)


def _first_primes(count: int) -> list[int]:
    primes: list[int] = []
    number = 2
    while len(primes) < count:
        if all(number % prime for prime in primes):
            primes.append(number)
        number += 1
    return primes


# --- Entries


def base64url(raw: bytes) -> str:
    """Base64url without padding."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def rsa_jwk(modulus: int) -> dict[str, str]:
    """The required members of an RSA key with the exponent 65537 (RFC 7518 section 6.3.1)."""
    return {"kty": "RSA", "n": base64url(modulus.to_bytes(modulus.bit_length() // 8)), "e": "AQAB"}


def p256_jwk(point: bytes) -> dict[str, str]:
    """The required members of a P-256 key (RFC 7518 section 6.2.1)."""
    x, y = base64url(point[1:33]), base64url(point[33:])
    return {"kty": "EC", "crv": "P-256", "x": x, "y": y}


def accepted(name: str, text: str, jwk: dict[str, str], bits: int, **more: object) -> Entry:
    """An entry for a key that must be taken."""
    canonical = json.dumps(jwk, sort_keys=True, separators=(",", ":")).encode()
    facts = {
        "kind": jwk.get("crv", "RSA"),
        "bits": bits,
        "thumbprint": base64url(hashlib.sha256(canonical).digest()),
    }
    return {"name": name, "pem": text, "valid": True, **more, **facts}


def refused(name: str, text: str, code: str, **more: object) -> Entry:
    """An entry for a text that must be refused with this code."""
    return {"name": name, "pem": text, "valid": False, "code": f"public_key_{code}", **more}


def rsa_entries(rng: random.Random) -> Iterator[Entry]:
    """RSA keys by size, exponent and encoding."""
    moduli = {bits: modulus_of(bits, rng) for bits in (2048, 2056, 3000, 3072, 4096)}
    for bits, modulus in moduli.items():
        yield accepted(f"RSA of {bits} bits", pem(rsa_der(modulus)), rsa_jwk(modulus), bits)
    enough = moduli[3072]
    yield accepted(
        "RSA of 3072 bits, strict", pem(rsa_der(enough)), rsa_jwk(enough), 3072, strict=True
    )
    for bits in (2048, 3000):
        name = f"RSA of {bits} bits, strict"
        yield refused(name, pem(rsa_der(moduli[bits])), "too_small", strict=True)
    yield refused("RSA of 1024 bits", pem(rsa_der(modulus_of(1024, rng))), "too_small")
    yield refused("RSA of 2040 bits", pem(rsa_der(modulus_of(2040, rng))), "too_small")
    yield refused("RSA of 4104 bits", pem(rsa_der(modulus_of(4104, rng))), "too_large")
    twice = moduli[4096] * modulus_of(4096, rng)
    yield refused("RSA of 8192 bits", pem(rsa_der(twice)), "too_large")
    modulus = moduli[2048]
    for exponent in (1, 2, 3, 17, 65535, 65536, 65539, 2**32 + 1, 2**64 + 65537):
        yield refused(f"exponent {exponent}", pem(rsa_der(modulus, exponent)), "exponent")
    yield refused("exponent above the modulus", pem(rsa_der(modulus, modulus + 2)), "exponent")
    pss, bare = sequence(RSA_PSS_OID), sequence(RSA_OID)
    yield refused("RSASSA-PSS identifier", pem(rsa_der(modulus, algorithm=pss)), "type")
    yield refused("algorithm without NULL", pem(rsa_der(modulus, algorithm=bare)), "malformed")
    yield refused("negative modulus", pem(rsa_der(-modulus)), "malformed")
    yield from text_entries(pem(rsa_der(modulus)), rsa_jwk(modulus))
    yield from der_entries(rsa_der(modulus), modulus)


def weak_entries(rng: random.Random) -> Iterator[Entry]:
    """RSA keys that anybody can factor."""
    half = prime_of(1024, rng)
    weak = {
        "even modulus": (2 * prime_of(2047, rng), "even_modulus"),
        "factor 3": (3 * prime_of(2047, rng), "small_factor"),
        "factor 65521, the largest prime below 2^16": (65521 * prime_of(2040, rng), "small_factor"),
        "ROCA of 2048 bits": (roca_prime(1024, rng) * roca_prime(1024, rng), "roca"),
        "ROCA of 3072 bits": (roca_prime(1536, rng) * roca_prime(1536, rng), "roca"),
        "neighbouring primes": (half * next_prime(half, rng), "close_primes"),
        "close primes, 90 steps apart": (close_modulus(2048, 90, rng), "close_primes"),
        "square of a prime": (half * half, "perfect_power"),
        "cube of a prime": (prime_of(700, rng) ** 3, "perfect_power"),
        "127th power of a prime": (prime_of(17, rng) ** 127, "perfect_power"),
    }
    for name, (modulus, weakness) in weak.items():
        yield refused(name, pem(rsa_der(modulus)), "weak", weakness=weakness)


def text_entries(good: str, jwk: dict[str, str]) -> Iterator[Entry]:
    """One RSA key in right and wrong dress."""
    first, *body, last, _ = good.split("\n")
    base64_text = "".join(body)
    yield accepted("CRLF line breaks", good.replace("\n", "\r\n"), jwk, 2048)
    yield accepted("no line break at the end", good.removesuffix("\n"), jwk, 2048)
    wrong = {
        "empty text": "",
        "no block": "public key",
        "only the first line": first,
        "an empty block": f"{first}\n{last}\n",
        "two blocks": good * 2,
        "text before the block": f"Key: {good}",
        "text after the block": f"{good}more\n",
        "an empty line before": f"\n{good}",
        "an empty line after": f"{good}\n",
        "a space after the first line": good.replace("\n", " \n", 1),
        "a header inside": good.replace("\n", "\nProc-Type: 4\n\n", 1),
        "mixed line breaks": good.replace("\n", "\r\n", 1),
        "CR line breaks": good.replace("\n", "\r"),
        "base64 in one line": f"{first}\n{base64_text}\n{last}\n",
        "76 columns": pem(base64.b64decode(base64_text), columns=76),
        "63 columns": pem(base64.b64decode(base64_text), columns=63),
        "base64url": good.replace("+", "-").replace("/", "_"),
        "base64 with a full-width letter": good.replace("A", "\uff21", 1),
        "six dashes": good.replace("-----BEGIN", "------BEGIN"),
        "label in lower case": good.replace("PUBLIC KEY", "public key"),
        "label CERTIFICATE": good.replace("PUBLIC KEY", "CERTIFICATE"),
        "labels that differ": good.replace("END PUBLIC", "END RSA PUBLIC"),
        "a byte order mark": f"\ufeff{good}",
        "a NUL at the end": f"{good}\0",
    }
    for name, text in wrong.items():
        yield refused(name, text, "malformed")
    yield refused("longer than 2048 characters", good + "\n" * 2048, "too_long")
    yield from private_entries(good)


def private_entries(good: str) -> Iterator[Entry]:
    """Private keys sent by mistake; their bodies are zeros, or the private key 1."""
    zeros = bytes(1200)
    one = sequence(integer(1), tlv(4, bytes(31) + b"\x01"))
    pkcs8 = sequence(integer(0), sequence(EC_OID, P256_OID), tlv(4, one))
    for label in ("", "RSA ", "EC ", "ENCRYPTED ", "OPENSSH "):
        name = f"{label}private key of 2.4 KB".strip()
        yield refused(name, pem(zeros * 2, f"{label}PRIVATE KEY"), "is_private")
    yield refused(
        "private key after the public one", good + pem(zeros, "PRIVATE KEY"), "is_private"
    )
    yield refused("PKCS #8 under the public label", pem(pkcs8), "is_private")
    yield refused("SEC 1 under the public label", pem(one), "is_private")


def der_entries(good: bytes, modulus: int) -> Iterator[Entry]:
    """One RSA key in DER that is not quite that."""
    number = modulus.to_bytes(modulus.bit_length() // 8 + 1)
    algorithm = sequence(RSA_OID, NULL)
    inner = sequence(integer(modulus), integer(65537))
    wrong = {
        "DER cut short by a byte": good[:-1],
        "DER cut in half": good[: len(good) // 2],
        "a byte after the DER": good + b"\0",
        "BER: length with a leading zero": b"\x30\x83\x00" + good[2:],
        "BER: indefinite length": b"\x30\x80" + good[4:] + b"\0\0",
        "modulus with a leading zero": spki(
            algorithm, sequence(tlv(2, b"\0", number), integer(65537))
        ),
        "exponent with a leading zero": spki(
            algorithm, sequence(integer(modulus), tlv(2, bytes.fromhex("00010001")))
        ),
        "a third number": spki(
            algorithm, sequence(integer(modulus), integer(65537), integer(65537))
        ),
        "one unused bit": spki(algorithm, inner, unused_bits=1),
        "a field after the key": sequence(good[4:], NULL),
        "PKCS #1 without its wrapper": inner,
        "not DER at all": b"echolia" * 42,
    }
    for name, der in wrong.items():
        yield refused(name, pem(der), "malformed")
    yield refused("label RSA PUBLIC KEY", pem(inner, "RSA PUBLIC KEY"), "malformed")


def ec_entries(rng: random.Random) -> Iterator[Entry]:
    """P-256 keys, and keys of other kinds."""
    good = point_of(scalar(rng))
    short = next(point for point in points(rng) if point[1] == 0)
    yield accepted("P-256", pem(p256_der(good)), p256_jwk(good), 256)
    yield accepted("P-256, strict", pem(p256_der(good)), p256_jwk(good), 256, strict=True)
    yield accepted("P-256, x with a leading zero", pem(p256_der(short)), p256_jwk(short), 256)
    x, y = good[1:33], int.from_bytes(good[33:])
    parity = y % 2
    wrong = {
        "P-256 off the curve": b"\x04" + x + (y ^ 1).to_bytes(32),
        "P-256 point (0, 0)": b"\x04" + bytes(64),
        "P-256 at infinity": b"\x00",
        "P-256 compressed": bytes([2 + parity]) + x,
        "P-256 hybrid": bytes([6 + parity]) + good[1:],
        "P-256 coordinates of 31 bytes": b"\x04" + good[2:33] + good[34:],
        "P-256 with an x above the field": b"\x04" + (P256_FIELD + 5).to_bytes(32) + x,
        "P-256 without a point": b"",
    }
    for name, point in wrong.items():
        yield refused(name, pem(p256_der(point)), "point")
    text = pem(p256_der(good))
    yield refused("base64 without its padding", text.replace("=", ""), "malformed")
    yield refused("base64 with stray bits", with_stray_bits(text), "malformed")
    yield refused("P-256, a byte after the DER", pem(p256_der(good) + b"\0"), "malformed")
    bare = spki(sequence(EC_OID), good)
    yield refused("EC without a curve", pem(bare), "malformed")
    seed = rng.randbytes(32)
    others: dict[str, PublicKeyTypes] = {
        "P-384": ec.derive_private_key(scalar(rng), ec.SECP384R1()).public_key(),
        "secp256k1": ec.derive_private_key(scalar(rng), ec.SECP256K1()).public_key(),
        "Ed25519": ed25519.Ed25519PrivateKey.from_private_bytes(seed).public_key(),
        "X25519": x25519.X25519PrivateKey.from_private_bytes(seed).public_key(),
    }
    for name, key in others.items():
        der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        yield refused(name, pem(der), "type")
    unknown = spki(sequence(bytes.fromhex("06032a0304")), good)
    yield refused("unknown algorithm 1.2.3.4", pem(unknown), "type")


def with_stray_bits(text: str) -> str:
    """The block spelled another way: the bits that the last letter has to spare are not zero."""
    at = text.index("==") - 1
    return text[:at] + chr(ord(text[at]) + 1) + text[at + 1 :]


def scalar(rng: random.Random) -> int:
    """A private key for any curve of 256 bits or more."""
    return rng.getrandbits(255) + 1


def point_of(private: int) -> bytes:
    """The uncompressed P-256 point of a private key."""
    key = ec.derive_private_key(private, ec.SECP256R1()).public_key()
    return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def points(rng: random.Random) -> Iterator[bytes]:
    """P-256 points without end."""
    while True:
        yield point_of(scalar(rng))


def main() -> None:
    """Write the file anew, the published keys as they stand in it."""
    rng = random.Random("echolia/spec/vectors/public_keys")
    made = [*rsa_entries(rng), *ec_entries(rng), *weak_entries(rng)]
    before = json.loads(VECTORS.read_text())
    published = [entry for entry in before if entry.get("code") == "public_key_known"]
    VECTORS.write_text(json.dumps([*made, *published], indent=1) + "\n")


if __name__ == "__main__":
    main()
