"""The terminal client as people and scripts use it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from echolia import Client
from echolia.cli import main

from . import real_server

needs_server = pytest.mark.skipif(not real_server.is_here(), reason="only beside the server's code")
SOURCE = Path(__file__).parents[1] / "src"


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with real_server.serving(tmp_path_factory.mktemp("server") / "data") as origin:
        yield origin


class Terminal:
    """Runs commands in this process; `home` is one device."""

    def __init__(self, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.home, self._capsys = home, capsys
        self.error = ""

    def __call__(self, *words: str, expect: int = 0) -> str:
        status = main(["--home", str(self.home), *words])
        out, self.error = self._capsys.readouterr()
        assert status == expect, self.error
        return out

    def json(self, *words: str, expect: int = 0) -> Any:
        return json.loads(self("--json", *words, expect=expect))


@pytest.fixture
def terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Terminal:
    monkeypatch.delenv("ECHOLIA_PASSPHRASE", raising=False)
    return Terminal(tmp_path / "home", capsys)


@needs_server
def test_a_day_in_the_life(terminal: Terminal, origin: str, tmp_path: Path) -> None:
    terminal("init", "--server", origin, "--name", "amber otter")
    assert "no passphrase" in terminal.error
    terminal("write", "Dear diary")
    (entry,) = terminal.json("list")
    assert terminal("show", entry["id"][:6]) == "Dear diary\n"
    terminal("edit", entry["id"][:6], "Dear diary, more")
    assert terminal.json("sync")["complete"]
    compared = terminal.json("sync", "--verify")
    assert (compared["verified"], compared["mended"]) == (True, 0)
    assert terminal.json("status")["items"] == {"entries": 1, "memories": 0, "tags": 0}
    assert [device["name"] for device in terminal.json("devices")] == ["amber otter"]
    terminal("export", str(tmp_path / "out"))
    assert len(list((tmp_path / "out").rglob("*.md"))) == 1
    terminal("delete", entry["id"][:6])
    assert terminal.json("list") == []
    terminal("show", entry["id"], expect=6)


@needs_server
def test_scripts_can_pair_two_processes(terminal: Terminal, origin: str, tmp_path: Path) -> None:
    terminal("init", "--server", origin)
    terminal("write", "Dear diary")
    terminal("sync")
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}

    def start(home: Path, *words: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "echolia", "--home", str(home), "--plain", *words]
        pipe = subprocess.PIPE
        return subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environment)

    old, new = start(terminal.home, "pair"), start(tmp_path / "two", "pair", "--join", "-")
    assert old.stdout
    assert new.stdout
    assert new.stdin
    new.stdin.write(old.stdout.readline())
    new.stdin.flush()
    code = new.stdout.readline()
    assert (len(code), code.strip().isdigit()) == (7, True)
    old.communicate(code, timeout=30)
    new.communicate(timeout=30)
    assert (old.returncode, new.returncode) == (0, 0)
    with Client.open(tmp_path / "two") as client:
        assert [entry.text for entry in client.entries.list()] == ["Dear diary"]
    terminal("revoke", client.vault.device_id[:6])
    assert [one["status"] for one in terminal.json("devices")].count("active") == 1


@needs_server
def test_a_passphrase_is_asked_for_and_must_fit(
    terminal: Terminal, origin: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("correct horse\n")
    terminal("--passphrase-file", str(secret), "init", "--server", origin)
    assert "no passphrase" not in terminal.error
    terminal("list", expect=9)
    monkeypatch.setenv("ECHOLIA_PASSPHRASE", "wrong")
    terminal("list", expect=9)
    monkeypatch.setenv("ECHOLIA_PASSPHRASE", "correct horse")
    terminal("list")


@needs_server
def test_writing_needs_no_server_and_sync_says_it_is_away(
    terminal: Terminal, tmp_path: Path
) -> None:
    with real_server.serving(tmp_path / "data") as origin:
        terminal("init", "--server", origin)
    terminal("write", "offline")
    terminal("sync", expect=4)
    assert terminal.error.count("\n") == 1
    assert len(terminal.json("list")) == 1


def test_a_home_without_a_device_says_what_to_do(terminal: Terminal) -> None:
    terminal("list", expect=3)
    assert "echolia init" in terminal.error


def test_a_bad_link_is_one_line_and_leaves_nothing_behind(terminal: Terminal) -> None:
    terminal("pair", "--join", "echolia://pair#nonsense", expect=8)
    assert terminal.error.count("\n") == 1
    assert not terminal.home.exists()


def test_a_server_that_is_no_url_is_refused_before_keys_are_made(terminal: Terminal) -> None:
    terminal("init", "--server", "journal", expect=1)
    assert "https://" in terminal.error
    assert not (terminal.home / "keyring.json").exists()


def test_wrong_usage_is_status_two(terminal: Terminal) -> None:
    with pytest.raises(SystemExit) as caught:
        terminal("frobnicate")
    assert caught.value.code == 2


def test_a_pipe_gets_the_exact_bytes_of_a_text(tmp_path: Path) -> None:
    from echolia.cli import _editor

    command = "from echolia.cli._editor import text_from as t\nwith t('-') as x: print(repr(x))"
    result = subprocess.run(
        [sys.executable, "-c", command],
        input=b"one\r\ntwo\n\n",
        capture_output=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
    )
    assert result.stdout.strip() == repr("one\r\ntwo\n\n").encode()
    with pytest.raises(_editor.NothingWritten), _editor.text_from("  \n"):
        pass


def test_the_editor_gets_the_old_text_and_gives_the_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from echolia.cli import _editor

    script = tmp_path / "editor.py"
    script.write_text("import sys; f = open(sys.argv[1], 'a'); f.write(' and more'); f.close()")
    monkeypatch.setenv("VISUAL", f"{sys.executable} {script}")
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    with _editor.text_from(None, "old") as text:
        assert text == "old and more"


def test_control_characters_of_a_title_never_reach_the_terminal() -> None:
    from echolia.cli._output import printable

    assert printable("a\x1b[31mb\nc") == "a [31mb c"
