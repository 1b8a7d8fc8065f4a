"""The rules of refresh, as a table and over every state there is."""

import base64
import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.auth import refresh
from app.auth.refresh import Family, ProofDate, RefreshToken, Verdict, judge
from app.auth.server_keys import ServerKeys

unhurried = settings(deadline=None)

USER = "5f0c9a55-6a3d-4c1e-9d52-1f7c7f3c0a11"
FAMILY = "1c5f9a55-6a3d-4c1e-9d52-1f7c7f3c0a33"
NOW = 1_800_000_000
IDLE = 30 * 86400
ROTATED_AT = NOW - 1000
USED_AT = NOW - 500
KEYS = ServerKeys.of(b"k" * 32)
OLD_KEYS = ServerKeys.of(b"o" * 32)


def token_of(generation: int, keys: ServerKeys = KEYS) -> RefreshToken:
    made = refresh.read(keys, refresh.make(keys.current, USER, FAMILY, generation))
    assert made is not None
    return made


def family(generation: int = 5, *, used: bool, **changes: object) -> Family:
    values: dict[str, object] = {
        "family_id": FAMILY,
        "device_id": "0b5f9a55-6a3d-4c1e-9d52-1f7c7f3c0a22",
        "generation": generation,
        "current_hash": token_of(generation).hash,
        "previous_hash": token_of(generation - 1).hash if generation > 1 else None,
        "confirmed_at": USED_AT if used else None,
        "refreshed_at": ROTATED_AT,
        "ends_at": NOW + 86400,
        "status": "active",
    }
    return Family(**(values | changes))  # type: ignore[arg-type]


def by_nonce(at: int) -> ProofDate:
    return ProofDate(at, by_nonce=True)


def by_clock(at: int) -> ProofDate:
    return ProofDate(at, by_nonce=False)


TABLE: list[tuple[str, Family | None, int, ProofDate, Verdict]] = [
    ("current, unused", family(used=False), 5, by_nonce(NOW), "rotate"),
    ("current, used", family(used=True), 5, by_nonce(NOW), "rotate"),
    ("current, dated long ago", family(used=True), 5, by_nonce(NOW - 10**6), "rotate"),
    ("current, by the client's clock", family(used=True), 5, by_clock(NOW), "rotate"),
    ("first, unused", family(1, used=False), 1, by_nonce(NOW), "rotate"),
    ("previous, successor unused", family(used=False), 4, by_nonce(NOW), "repeat"),
    ("the same, by the client's clock", family(used=False), 4, by_clock(NOW), "repeat"),
    ("the same, dated before the rotation", family(used=False), 4, by_nonce(0), "repeat"),
    ("previous, used, dated after", family(used=True), 4, by_nonce(USED_AT + 1), "reused"),
    ("previous, used, same second", family(used=True), 4, by_nonce(USED_AT), "stale"),
    ("previous, used, dated before", family(used=True), 4, by_nonce(USED_AT - 1), "stale"),
    ("previous, used, clock after", family(used=True), 4, by_clock(USED_AT + 1), "nonce_needed"),
    ("previous, used, clock before", family(used=True), 4, by_clock(USED_AT), "stale"),
    ("older, used, dated after", family(used=True), 3, by_nonce(USED_AT + 1), "reused"),
    ("older, used, dated before", family(used=True), 3, by_nonce(USED_AT), "stale"),
    ("older, unused, dated after", family(used=False), 3, by_nonce(ROTATED_AT + 1), "reused"),
    ("older, unused, same second", family(used=False), 3, by_nonce(ROTATED_AT), "stale"),
    ("older, unused, clock after", family(used=False), 1, by_clock(NOW), "nonce_needed"),
    ("newer than any", family(used=True), 6, by_nonce(NOW), "invalid"),
    ("no session", None, 5, by_nonce(NOW), "invalid"),
    ("ended", family(used=True, status="ended"), 5, by_nonce(NOW), "invalid"),
    ("ended, old token", family(used=True, status="ended"), 4, by_nonce(NOW), "invalid"),
    ("past its end", family(used=True, ends_at=NOW), 5, by_nonce(NOW), "invalid"),
    ("a second before its end", family(used=True, ends_at=NOW + 1), 5, by_nonce(NOW), "rotate"),
    ("idle", family(used=True, refreshed_at=NOW - IDLE), 5, by_nonce(NOW), "invalid"),
    ("nearly idle", family(used=True, refreshed_at=NOW - IDLE + 1), 5, by_nonce(NOW), "rotate"),
    ("idle, previous", family(used=False, refreshed_at=NOW - IDLE), 4, by_nonce(NOW), "invalid"),
    ("late retry", family(used=False, refreshed_at=NOW - IDLE + 1), 4, by_nonce(NOW), "repeat"),
    ("current, other bytes", family(used=True, current_hash=b"x"), 5, by_nonce(NOW), "invalid"),
    ("previous, other bytes", family(used=False, previous_hash=b"x"), 4, by_nonce(NOW), "invalid"),
]


@pytest.mark.parametrize(
    ("found", "generation", "proof", "verdict"),
    [row[1:] for row in TABLE],
    ids=[row[0] for row in TABLE],
)
def test_each_rule_of_refresh(
    found: Family | None, generation: int, proof: ProofDate, verdict: Verdict
) -> None:
    token = token_of(generation)
    assert judge(found, token, proof, now=NOW, idle_seconds=IDLE) == verdict


def test_only_a_date_of_our_own_after_the_use_ends_a_session() -> None:
    dates = [0, ROTATED_AT, ROTATED_AT + 1, USED_AT, USED_AT + 1, NOW, NOW + 300]
    for generation, used, at, nonce in itertools.product(
        range(1, 7), (True, False), dates, (True, False)
    ):
        verdict = judge(
            family(used=used),
            token_of(generation),
            ProofDate(at, by_nonce=nonce),
            now=NOW,
            idle_seconds=IDLE,
        )
        used_at = USED_AT if used else ROTATED_AT
        is_old = generation < 4 or (generation == 4 and used)
        assert (verdict == "reused") == (is_old and nonce and at > used_at)
        assert (verdict == "rotate") == (generation == 5)


def test_a_token_is_derived_and_so_can_be_given_again() -> None:
    made = {refresh.make(KEYS.current, USER, FAMILY, 7) for _ in range(3)}
    assert len(made) == 1
    text = made.pop()
    assert refresh.read(KEYS, text) == RefreshToken(USER, FAMILY, 7, refresh.hash_of(text))
    others = {
        refresh.make(OLD_KEYS.current, USER, FAMILY, 7),
        refresh.make(KEYS.current, FAMILY, USER, 7),
        refresh.make(KEYS.current, USER, FAMILY, 8),
    }
    assert len(others | {text}) == 4


def test_a_token_of_an_earlier_secret_is_read_while_it_is_listed() -> None:
    text = refresh.make(OLD_KEYS.current, USER, FAMILY, 1)
    assert refresh.read(ServerKeys.of(b"k" * 32, [b"o" * 32]), text) is not None
    assert refresh.read(KEYS, text) is None


TEXT = refresh.make(KEYS.current, USER, FAMILY, 7)


@unhurried
@given(
    st.text(max_size=600) | st.binary(max_size=90).map(lambda raw: base64.b64encode(raw).decode())
)
def test_no_text_reads_as_a_token(text: str) -> None:
    assert refresh.read(KEYS, text) is None


@unhurried
@given(st.integers(0, len(TEXT) - 1), st.sampled_from("AQgw09_-+/=é\n"))
def test_a_changed_token_is_none_or_has_another_hash(at: int, letter: str) -> None:
    changed = TEXT[:at] + letter + TEXT[at + 1 :]
    read = refresh.read(KEYS, changed)
    if changed != TEXT:
        assert read is None or read.hash != refresh.hash_of(TEXT)


@unhurried
@given(st.binary(max_size=100))
def test_bytes_without_our_mac_are_no_token(raw: bytes) -> None:
    for text in (
        base64.urlsafe_b64encode(raw).decode(),
        base64.urlsafe_b64encode(raw[:69]).decode(),
    ):
        assert refresh.read(KEYS, text.rstrip("=")) is None
