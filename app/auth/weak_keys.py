"""RSA moduli that anybody can factor, and keys whose private half stands in a document.

A server cannot tell a good key, only these bad ones: the marks that broken generators leave, each
found in the wild on millions of devices, and examples pasted from a standard.
"""

import math
from functools import cache
from itertools import islice
from typing import Literal

Weakness = Literal["even_modulus", "small_factor", "roca", "close_primes", "perfect_power"]

SMALL_PRIME_LIMIT = 2**16
FERMAT_STEPS = 100


def weakness_of(modulus: int) -> Weakness | None:
    """The first flaw found in an RSA modulus of 2048 to 4096 bits, or None.

    About 1 ms at 3072 bits. A sound modulus is called `roca` once in 2^27.8 times, and never
    anything else.
    """
    if modulus % 2 == 0:
        return "even_modulus"
    if has_small_factor(modulus):
        return "small_factor"
    if has_roca_fingerprint(modulus):
        return "roca"
    if has_close_primes(modulus):
        # Two equal primes are the closest ones; the name that says so is the clearer answer.
        return "perfect_power" if math.isqrt(modulus) ** 2 == modulus else "close_primes"
    if is_perfect_power(modulus):
        return "perfect_power"
    return None


def is_published(thumbprint: str) -> bool:
    """Whether the private half of the key with this RFC 7638 thumbprint is printed somewhere."""
    return thumbprint in _PUBLISHED


def has_small_factor(modulus: int) -> bool:
    """Whether a prime below 2^16 divides the modulus: a generator that skipped its tests."""
    return math.gcd(modulus, _product_of_small_primes()) != 1


def has_roca_fingerprint(modulus: int) -> bool:
    """Whether the modulus looks made by Infineon's RSALib (CVE-2017-15361).

    Its primes are k * M + (65537^a mod M), M a product of the first primes, so the modulus is a
    power of 65537 modulo each of those primes. See Nemec et al., "The Return of Coppersmith's
    Attack", ACM CCS 2017, section 2.
    """
    return all(modulus % prime in powers for prime, powers in _roca_residues())


def has_close_primes(modulus: int) -> bool:
    """Whether 100 steps of Fermat's method factor the odd modulus: two primes from one start."""
    middle = math.isqrt(modulus - 1) + 1
    square = middle * middle - modulus
    for _ in range(FERMAT_STEPS):
        # Squares are 0, 1, 4 or 9 modulo 16, which saves three roots in four.
        if square & 15 in (0, 1, 4, 9) and math.isqrt(square) ** 2 == square:
            return True
        square += 2 * middle + 1
        middle += 1
    return False


def is_perfect_power(modulus: int) -> bool:
    """Whether the modulus is m^k with k > 1; it must have no factor below 2^16, so that k has a
    bound of a sixteenth of its bits."""
    bound = modulus.bit_length() // 16
    return any(
        _may_be_power(modulus, witnesses, degree)
        and integer_root(modulus, degree) ** degree == modulus
        for degree, witnesses in _residue_witnesses()
        if degree <= bound
    )


def integer_root(number: int, degree: int) -> int:
    """The largest integer whose power of this degree is at most the number (> 0)."""
    # Newton's method from above falls until it has reached the root.
    root = 1 << -(-number.bit_length() // degree)
    while (closer := ((degree - 1) * root + number // root ** (degree - 1)) // degree) < root:
        root = closer
    return root


def _may_be_power(number: int, witnesses: tuple[int, ...], degree: int) -> bool:
    """False for all but one in degree^3 of the numbers that are no power of this degree: a power
    is one modulo every prime as well, where Euler's criterion tells. It saves us the roots."""
    return all(pow(number % prime, (prime - 1) // degree, prime) == 1 for prime in witnesses)


def primes_below(limit: int) -> list[int]:
    """All primes below the limit, in order."""
    is_prime = bytearray([1]) * limit
    is_prime[:2] = bytes(min(2, limit))
    for factor in range(2, math.isqrt(limit) + 1):
        if is_prime[factor]:
            multiples = range(factor * factor, limit, factor)
            is_prime[factor * factor :: factor] = bytes(len(multiples))
    return [number for number in range(limit) if is_prime[number]]


@cache
def _product_of_small_primes() -> int:
    return math.prod(primes_below(SMALL_PRIME_LIMIT))


@cache
def _residue_witnesses() -> tuple[tuple[int, tuple[int, ...]], ...]:
    """For each prime degree that a modulus of 4096 bits can have, three primes that are 1 modulo
    it: only there is not every number a power of that degree."""
    primes = primes_below(SMALL_PRIME_LIMIT)
    return tuple(
        (degree, tuple(islice((prime for prime in primes if prime % degree == 1), 3)))
        for degree in primes_below(4096 // 16 + 1)
    )


@cache
def _roca_residues() -> tuple[tuple[int, frozenset[int]], ...]:
    """For each odd prime up to 167, those that M has in keys of every length: all powers of 65537
    modulo that prime."""
    return tuple(
        (prime, frozenset(pow(65537, exponent, prime) for exponent in range(prime - 1)))
        for prime in primes_below(168)[1:]
    )


# RFC 7638 thumbprints. The keys themselves are in spec/vectors/public_keys.json.
_PUBLISHED = frozenset(
    {
        "CfJJ6gKFpXJi_vlE4MLofhE5REbnMewqvEfigDZfGtA",  # spec/vectors/signatures.json, p256
        "oGi0-9sxpXsxlNyAPaBjebfHoGDut3RMhXH7wR43fFM",  # spec/vectors/signatures.json, rsa
        "oLjj1-kYjGrx30_u8pvegKfJL3ED7YisjI6TbEeJWl8",  # spec/vectors/signatures.json, other
        "6zCobslLk2qqWRx1ZdA3vcxN_beN--P2AW_hzMluhfI",  # RFC 5903 section 8.1, initiator
        "oYeexsQavd5_sE47hfF0aOFtCQD1um50fXkJYBWU-Cc",  # RFC 5903 section 8.1, responder
        "DOvxvJiAdIqVWIkFt5hDtCunXLF0BV4-JGv4f-ALSm0",  # RFC 6979 appendix A.2.5
        "IsUn6_e04MaShXFIISMp4kG62LWzMIPy_MvSA5pJgX8",  # RFC 7515 appendix A.2
        "oKIywvGUpTVTyxMQ3bwIIeQUudfr_CkLMjCE19ECD-U",  # RFC 7515 appendix A.3
        "xtIsOV1FqKH77AI_A3jdTg5QfdabzqI-LNpYTPi0IgI",  # RFC 7516 appendix A.1
        "_K0fXS8wlsT7Tn3vvZrs9qdKUIqi5AxQ5EVk41xi_BM",  # RFC 7516 appendix A.2
        "DdsFv-2-wgcPoDcyS6OXOWVh00JdbWkkVXDCYdxJ3uM",  # RFC 7517 appendix B
        "D8R4-FeTJfzuDUy8bZ0c4hcwpul-Q11gCPs3mw6-R9Q",  # RFC 7517 appendix C.1
        "cn-I_WNMClehiVp51i_0VpOENW1upEerA8sEam5hn-s",  # RFC 7517 appendix A.1
        "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs",  # RFC 7517 appendix A.1; RFC 7638
        "_GK0r6GCoJt9zcssg9lay4obIxgCq05ntiRymRHADSU",  # RFC 7518 appendix C, Alice
        "Vy57XrArUrW0NbpI12tEzDHABxMwrTh6HHXRenSpnCo",  # RFC 7518 appendix C, Bob
        "9jg46WB3rR_AHD-EBXdN7cBkH1WOu0tA3M9fm21mqTI",  # RFC 7520 section 3.3
        "h_jutvC-jg3Nwueq8LmdSybXykVsBwk4_5u5Y9JiS7E",  # RFC 7520 section 5.1
        "Rt-IyDEhXohvTl_ozKQ9YGflXGuDb3uu3QmqN2LoMwM",  # RFC 7520 section 5.2
        "HsSFalww3yP-dO-lWGYgFcyV5H22oScIFc4V2Y6GOto",  # RFC 7520 section 5.5
        "xNnfOFTMgZSRM3KtGHQqavZGWGF00Fe54LZBYCIxr88",  # RFC 8152 appendix C.7.1, 11
        "mTVa39KNK8LI9ZgAkyqQOQayaqVO7DXurapqkzEbfMg",  # RFC 8152 appendix C.7.1, peregrin.took
        "nHE5fEJimstULUDGUTusUEJUpQi-p7faf3TiIE6ZNsI",  # RFC 8291 section 5, application server
        "VqahBPDGikK6KyrDxEnhWUo_lkVjVSvxHuHMK1-R0PE",  # RFC 8291 section 5, user agent
        "KUT6jPUqqz4OC7G_YIiZmEPyqnogLqA8iZOfYR9hmlk",  # RFC 8392 appendix A.2.3
        "3B8Nu0n5neDpB7gjxP1Fvpm5vlSVA3dMW8JP5H_eLTE",  # RFC 9180 appendix A.3.1, recipient
        "XEA2r0ROHwwqNvy0UZmTVB_eNBTV_8ZM8FMOaHJE7uU",  # RFC 9180 appendix A.3.1, ephemeral
        "BHj8s0GPnMEQtkaULIM-PLgEhLBbuGUQ1vMxmBWZzEo",  # RFC 9421 appendix B.1.1, test-key-rsa
        "oD0HwocPBSfpNy5W3bpJeyFGY_IQ_YpqxSjQ3Yd-CLA",  # RFC 9421 appendix B.1.2, test-key-rsa-pss
        "ydQXMtvbsOsZyFir-Y7A8t7fKEM1gbKPvyFkdpu4fvI",  # RFC 9421 appendix B.1.3, test-key-ecc-p256
        "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I",  # RFC 9449 section 4.1
        "Fa5JHFzFB8yHv0Dk3rGTgtCQPXPr3q8midyfylf8CUU",  # RFC 9500 section 2.1, testRSA2048
        "LIstkoCvByn4jk8oZPvigQkzTzO9UwnGnE-VMlkZvYQ",  # RFC 9500 section 2.3, testECCP256
        "oGDmHqCJ7yzMkWEkrlZVHkvrHIyQwtlDmeq5ForUHeY",  # jwt.io debugger, RS256
        "19J8y7Zprt2-QKLjF2I5pVk0OELX6cY2AfaAv1LC_w8",  # jwt.io debugger, ES256
        "xx0BcA-wMohw8atYDJOe6peGModklG2wRHBlXHMvl0M",  # P-256 base point: private key 1
        "WUvr_3qhO1HgZwQzcjEwvNYMQct45rClzuRw4DNhrAA",  # its negative: private key n - 1
    }
)
