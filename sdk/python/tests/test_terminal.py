"""What reaches the terminal, and what happens to a text when something goes wrong."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from echolia import Client, SecurityEvent, StoreError, SyncReport, Update
from echolia._errors import Refused
from echolia._keyring import Keyring, KeyringFile
from echolia.cli import main
from echolia.cli._editor import text_from
from echolia.cli._output import Output, shown, when

NASTY = "one\x1b[2J\x9b31m\ttwo\r\nthree\x07 \u202efour"


@pytest.fixture
def home(tmp_path: Path, keyring: Keyring) -> Path:
    folder = tmp_path / "home"
    folder.mkdir(mode=0o700)
    KeyringFile.create(folder / "keyring.json", keyring, "")
    return folder


def test_a_text_from_another_device_cannot_command_the_terminal(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with Client.open(home) as client:
        entry = client.entries.add(NASTY, title="a\x1b]0;title\x07")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "dumb")
    for words in (["show", entry.id], ["list"], ["status"]):
        assert main(["--home", str(home), *words]) == 0
        out, err = capsys.readouterr()
        assert not set(out + err) & set("\x1b\x9b\x07\u202e\r")
    assert shown(NASTY).startswith("one [2J 31m\ttwo \nthree")


def test_following_shows_what_arrives_until_it_is_interrupted(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def follow(_: Client) -> Iterator[Update]:
        yield Update("items", SyncReport())
        yield Update("items", SyncReport(pulled=2))
        yield Update("devices")
        raise KeyboardInterrupt

    happened = [SecurityEvent("device_added", 1_700_000_000, None)]
    monkeypatch.setattr(Client, "follow", follow)
    monkeypatch.setattr(Client, "security_events", lambda _: happened)
    assert main(["--home", str(home), "sync", "--follow"]) == 0
    said = capsys.readouterr()
    assert said.out == "0 sent, 2 fetched\n"
    assert "a device was added" in said.err


def test_a_pipe_gets_the_text_as_it_was_written(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Client.open(home) as client:
        entry = client.entries.add(NASTY)
    main(["--home", str(home), "--plain", "show", entry.id])
    assert capsys.readouterr().out == NASTY + "\n"


def test_words_of_the_server_reach_the_terminal_harmless_and_short(
    capsys: pytest.CaptureFixture[str],
) -> None:
    refusal = Refused(400, "bad\x1b[31m", "x\x1b]52;c;AAAA\x07" + "y" * 10_000)
    Output(as_json=False, plain=False).note(f"echolia: {refusal}")
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert len(said) < 600
    assert "\x1b" not in said


@pytest.mark.parametrize("words", [["revoke", ""], ["show", ""], ["delete", ""]])
def test_an_empty_id_means_nothing(
    home: Path, words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Client, "devices", lambda self: [])
    with Client.open(home) as client:
        client.entries.add("only one")
    assert main(["--home", str(home), *words]) == 6


def test_what_was_written_in_the_editor_outlives_a_store_that_fails(
    home: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    use_editor(tmp_path, monkeypatch, "open(sys.argv[1], 'a').write('an hour of thoughts')")

    def full(*_: object, **__: object) -> None:
        raise StoreError("the disk is full")

    monkeypatch.setattr("echolia._vault.Vault.put", full)
    assert main(["--home", str(home), "write"]) == 1
    kept = Path(capsys.readouterr().err.split("what was written is in ")[1].split("\n")[0])
    assert kept.read_text() == "an hour of thoughts"
    assert kept.parent.stat().st_mode & 0o077 == 0
    kept.unlink()
    kept.parent.rmdir()


def test_the_editor_never_sees_the_passphrase_and_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ECHOLIA_PASSPHRASE", "correct horse")
    code = "import os; open(sys.argv[1], 'w').write(f'{sorted(os.environ)} {sys.argv[1]}')"
    use_editor(tmp_path, monkeypatch, code)
    with text_from(None) as text:
        place = Path(text.split()[-1])
        assert place.exists()
    assert "ECHOLIA_PASSPHRASE" not in text
    assert not place.parent.exists()


def test_an_editor_that_saves_in_an_old_encoding_loses_no_letter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_editor(tmp_path, monkeypatch, "open(sys.argv[1], 'wb').write(bytes([0x6d, 0xfc, 0x64]))")
    with text_from(None) as text:
        assert text == "müd"


def use_editor(folder: Path, monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    script = folder / "editor.py"
    script.write_text(f"import sys; {code}")
    monkeypatch.setenv("VISUAL", f"{sys.executable} {script}")
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)


def test_a_device_that_mistyped_its_server_may_name_another(
    tmp_path: Path, keyring: Keyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ECHOLIA_PASSPHRASE", raising=False)
    monkeypatch.setattr("echolia._keys.RsaKey.generate", lambda: keyring.signing)
    home = tmp_path / "home"
    for port in (1, 2):
        assert main(["--home", str(home), "init", "--server", f"http://localhost:{port}"]) == 4
    _, kept = KeyringFile.open(home / "keyring.json", "")
    assert kept.server == "http://localhost:2"


def test_a_time_is_shown_or_dashed() -> None:
    assert when(None) == "-"
    assert when(0).startswith("19")
