"""The sweep finds what is there, and nothing that is not."""

import base64
import gzip
import os
import random
import sqlite3
import textwrap
import zlib
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given
from hypothesis import strategies as st

from demo.needles import Needle, bytes_needle, line_needle, text_needle
from demo.plant import prove, ways
from demo.sweep import Sieve, files_below, sweep

SENTENCE = "Γράφω κάτω από τη γέφυρα: rain on the “screen”, 100 % kept / \\o/."
KEY = random.Random(7).randbytes(32)


def _line() -> Needle:
    needle = line_needle("diary:1", SENTENCE)
    assert needle is not None
    return needle


KEY_NEEDLE = bytes_needle("vault key", "epoch 1", KEY)
NEEDLES = {"a line": _line(), "a key": KEY_NEEDLE}


@pytest.mark.parametrize(
    ("name", "way"), [(name, way) for name, needle in NEEDLES.items() for way in ways(needle)]
)
def test_a_secret_is_found_in_every_way_it_can_be_written(
    name: str, way: str, tmp_path: Path
) -> None:
    (tmp_path / "planted").write_bytes(ways(NEEDLES[name])[way](NEEDLES[name].secret))
    swept = sweep(Sieve(NEEDLES.values()), [tmp_path])
    assert {find.needle for find in swept.finds} == {NEEDLES[name]}


@pytest.mark.parametrize("width", [64, 76])
def test_a_short_key_is_found_wherever_base64_breaks_into_lines(width: int) -> None:
    sieve = Sieve([KEY_NEEDLE])
    for before in range(60):
        encoded = base64.b64encode(os.urandom(before) + KEY + os.urandom(9)).decode()
        assert any(sieve.matches("\n".join(textwrap.wrap(encoded, width)).encode())), before


def test_a_private_key_is_found_in_its_own_pem() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    number = key.private_numbers().private_value.to_bytes(32, "big")
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    assert any(Sieve([bytes_needle("private key", "here", number)]).matches(pem))


def test_the_proof_finds_all_that_it_plants(tmp_path: Path) -> None:
    proof = prove(Sieve(NEEDLES.values()), tmp_path)
    assert proof.missed == ()
    assert proof.planted == sum(len(ways(needle)) + 3 for needle in NEEDLES.values())


def test_the_proof_says_what_a_blind_sweep_walks_past(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("demo.sweep._unpacked", lambda data: iter(()))
    missed = prove(Sieve([KEY_NEEDLE]), tmp_path).missed
    assert "vault key in a gzip member" in missed
    assert "vault key as it is" not in missed


@given(st.binary(max_size=3000), st.binary(max_size=300))
def test_a_secret_is_found_between_any_bytes(before: bytes, behind: bytes) -> None:
    sieve = Sieve([_line()])
    data = before + SENTENCE.encode() + behind
    assert {needle for _, needle in sieve.matches(data)} == {_line()}


def test_noise_holds_nothing() -> None:
    sieve = Sieve(NEEDLES.values())
    assert list(sieve.matches(os.urandom(500_000))) == []


def test_one_letter_off_is_another_text() -> None:
    wrong = "".join(chr(ord(character) ^ 1) for character in SENTENCE)
    mixed = "".join(
        a if at % 8 else b for at, (a, b) in enumerate(zip(SENTENCE, wrong, strict=True))
    )
    assert list(Sieve([_line()]).matches(mixed.encode())) == []


def test_part_of_a_line_is_enough() -> None:
    long = " ".join(f"word{number} of a very long line" for number in range(40))
    needle = line_needle("diary:2", long)
    assert needle is not None
    sieve = Sieve([needle])
    for at in range(0, len(long) - 60, 7):
        assert any(sieve.matches(long[at : at + 60].encode())), f"cut out at {at}"


def test_a_text_in_a_file_name_is_found(tmp_path: Path) -> None:
    needle = text_needle("title", "diary", "Too many courgettes")
    assert needle is not None
    (tmp_path / "Too many courgettes.tmp").touch()
    (find,) = sweep(Sieve([needle]), [tmp_path]).finds
    assert find.needle == needle


def test_a_text_in_the_name_of_a_folder_above_the_root_is_not_ours(tmp_path: Path) -> None:
    needle = text_needle("title", "diary", "Too many courgettes")
    assert needle is not None
    folder = tmp_path / "Too many courgettes" / "data"
    folder.mkdir(parents=True)
    (folder / "file").write_text("nothing")
    assert sweep(Sieve([needle]), [folder]).finds == frozenset()


def test_hidden_and_nested_files_are_searched_and_counted(tmp_path: Path) -> None:
    for name in (".lock", "a/b/.hidden/c", "a/plain"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(KEY)
    swept = sweep(Sieve([KEY_NEEDLE]), [tmp_path])
    assert (swept.files, swept.size_bytes) == (3, 96)
    assert len({find.file for find in swept.finds}) == 3
    assert len(files_below(tmp_path)) == 3


def test_a_file_that_cannot_be_read_is_an_error_and_not_passed_over(tmp_path: Path) -> None:
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
    with pytest.raises(OSError, match="gone"):
        sweep(Sieve([KEY_NEEDLE]), [tmp_path])


def test_a_member_in_a_member_in_a_row_is_found(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "a.db") as connection:
        connection.execute('CREATE TABLE "odd ""name" (v)')
        connection.execute(
            'INSERT INTO "odd ""name" VALUES (?)', (gzip.compress(zlib.compress(KEY)),)
        )
    connection.close()
    swept = sweep(Sieve([KEY_NEEDLE]), [tmp_path])
    assert {find.form for find in swept.finds} == {"as it is, compressed"}


def test_looking_into_a_database_changes_nothing_beside_it(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "a.db") as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE t (v)")
        connection.commit()
        before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
        sweep(Sieve([KEY_NEEDLE]), [tmp_path])
        assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before
    connection.close()
