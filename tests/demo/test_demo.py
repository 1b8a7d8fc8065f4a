"""The demo as it is run, and what it says when something does not hold."""

import io
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from rich.console import Console

from demo import __main__ as command
from demo.devices import CommandFailed, Device
from demo.needles import line_needle
from demo.screen import Screen
from demo.server import Server
from demo.thief import find
from demo.world import World

ROOT = Path(__file__).resolve().parents[2]


class Seen:
    """A screen whose words can be read."""

    def __init__(self) -> None:
        self._out = io.StringIO()
        self.screen = Screen(Console(file=self._out, width=200, highlight=False))

    @property
    def words(self) -> str:
        return self._out.getvalue()


@pytest.fixture
def seen() -> Seen:
    return Seen()


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary folders are made."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_every_claim_of_the_demo_holds_and_nothing_is_left_behind(
    seen: Seen, scratch: Path
) -> None:
    assert command.main([], seen.screen) == 0, seen.words
    assert len(seen.screen.claims) == 12
    assert command.GONE in seen.words
    assert list(scratch.iterdir()) == []
    assert not _listens(_port(seen.words))


def test_asked_to_end_it_stops_the_server_and_removes_its_files(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "demo"],
        cwd=ROOT,
        env=os.environ | {"TMPDIR": str(tmp_path), "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        encoding="utf-8",
    )
    assert process.stdout is not None
    with process:
        line = next(line for line in process.stdout if "answering on" in line)
        assert _listens(_port(line))
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 128 + signal.SIGTERM
    assert not _listens(_port(line))
    assert list(tmp_path.iterdir()) == []


def test_a_claim_that_does_not_hold_fails_the_demo(
    seen: Seen, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def tell(screen: Screen, folder: Path) -> None:
        screen.claim("water is wet", True)
        screen.claim("fire is cold", False)

    monkeypatch.setattr(command, "tell", tell)
    assert command.main([], seen.screen) == 1
    assert "1 of 2 do not hold" in seen.words
    assert list(scratch.iterdir()) == []


def test_a_demo_that_claims_nothing_has_not_succeeded(
    seen: Seen, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "tell", lambda screen, folder: None)
    assert command.main([], seen.screen) == 1


def test_a_command_that_fails_ends_the_demo_with_its_words(
    seen: Seen, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def tell(screen: Screen, folder: Path) -> None:
        (folder / "something").touch()
        raise CommandFailed("`echolia sync` ended with status 5")

    monkeypatch.setattr(command, "tell", tell)
    assert command.main([], seen.screen) == 1
    assert "`echolia sync` ended with status 5" in seen.words
    assert list(scratch.iterdir()) == []


@pytest.mark.parametrize("args", [["no-such-command"], ["status"]])
def test_a_client_that_ends_badly_is_not_taken_for_one_that_ended_well(
    args: list[str], tmp_path: Path
) -> None:
    device = Device("a phone", tmp_path / "phone" / "journal", "a passphrase")
    with pytest.raises(CommandFailed, match=re.escape(args[0])):
        device.run(*args)


# --- the last claim -----------------------------------------------------------------------------

SECRET = "a server secret of forty-eight characters, made up"
LINE = "Wrote this line by candle light, for nobody's eyes."


@pytest.fixture
def world(seen: Seen, tmp_path: Path) -> World:
    """Folders as the demo leaves them, with hardly anything in them."""
    server = Server(tmp_path / "server")
    laptop, phone = (Device(it, tmp_path / it / "journal", "x") for it in ("laptop", "phone"))
    for device in (laptop, phone):
        device.home.mkdir(parents=True)
        (device.home / "store.db").write_bytes(os.urandom(3000))
    server.data.mkdir()
    (server.data / "jwt_secret").write_text(SECRET)
    server.log.write_text('{"event":"server_started"}\n')
    needle = line_needle("diary:1", LINE)
    assert needle is not None
    return World(seen.screen, tmp_path, server, laptop, phone, [needle])


def test_the_search_of_clean_folders_holds(world: World) -> None:
    find(world)
    assert world.screen.all_hold


@pytest.mark.parametrize(
    "place", ["server/server.log", "server/data/master.db-wal", "phone/tmp/x", "laptop/.cache/y"]
)
def test_one_line_of_the_diary_anywhere_fails_the_demo_and_is_named(
    place: str, world: World, seen: Seen
) -> None:
    file = world.folder / place
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a") as leaking:
        leaking.write(f"noise {LINE.encode().hex()}")
    find(world)
    assert not world.screen.all_hold
    assert f"line (diary:1), hex, in {place}" in seen.words


def test_the_servers_secret_outside_its_file_fails_the_demo(world: World) -> None:
    (world.server.folder / "core").write_text(f"secret={SECRET}")
    find(world)
    assert [claim.holds for claim in world.screen.claims] == [True, False]


def _port(words: str) -> int:
    found = re.search(r"http://localhost:(\d+)", words)
    assert found is not None
    return int(found[1])


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
