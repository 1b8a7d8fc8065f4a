"""Recovery and P-256 devices against the server of this repository; words on a real terminal."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import httpx
import pytest

from echolia import (
    AlreadySetUp,
    Client,
    Join,
    Options,
    PhraseInvalid,
    RecoveryDelayed,
    RecoveryRefused,
)
from echolia._canonical import b64
from echolia._keyring import KeyringFile
from echolia._keys import KeyKind
from echolia._phrase import entropy_of
from echolia._recovery import RecoveryKeys
from echolia.cli import main

from . import real_server
from .test_real_server import Faulty, meet

pytestmark = pytest.mark.skipif(not real_server.is_here(), reason="only beside the server's code")
SOURCE = Path(__file__).parents[1] / "src"


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with real_server.serving(tmp_path_factory.mktemp("server") / "data") as origin:
        yield origin


@pytest.fixture
def account(origin: str, tmp_path: Path) -> Iterator[Client]:
    with Client.create(tmp_path / "one", server=origin, key="p256") as client:
        client.entries.add("kept by words alone")
        client.sync()
        yield client


def texts(client: Client) -> list[str]:
    return [entry.text for entry in client.entries.list()]


# --- kinds of keys ------------------------------------------------------------------------------


@pytest.mark.parametrize("existing", ["rsa", "p256"])
@pytest.mark.parametrize("new", ["rsa", "p256"])
def test_devices_of_either_kind_let_each_other_in(
    origin: str, tmp_path: Path, existing: KeyKind, new: KeyKind
) -> None:
    with Client.create(tmp_path / "one", server=origin, key=existing) as first:
        first.entries.add("for both kinds")
        first.sync()
        invitation = first.invite()
        with Join(tmp_path / "two", invitation.link, key=new) as joining:
            invitation.approve(meet(invitation, joining))
            second = joining.finish(20)
        with second:
            second.sync()
            assert texts(second) == ["for both kinds"]
            second.entries.add("and back")
            second.sync()
            first.sync()
        assert sorted(texts(first)) == ["and back", "for both kinds"]
    with Client.open(tmp_path / "two") as again:
        assert again.sync().complete
        assert again._keyring.kind == new


# --- recovery -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("words", "key"), [(12, "rsa"), (24, "p256")])
def test_the_journal_comes_back_by_the_phrase_alone(
    account: Client, origin: str, tmp_path: Path, words: int, key: KeyKind
) -> None:
    phrase = account.create_recovery(words)
    assert len(phrase.split()) == words
    with Client.recover(tmp_path / "back", phrase, server=origin, key=key) as back:
        assert back.sync().complete
        assert texts(back) == ["kept by words alone"]
        kinds = [event.kind for event in account.security_events()]
    assert sorted(kinds) == ["device_added", "device_added", "recovery_set", "recovery_used"]
    with Client.open(tmp_path / "back") as again:
        assert again.sync().complete


def test_nothing_of_the_phrase_is_in_any_file(account: Client, origin: str, tmp_path: Path) -> None:
    phrase = account.create_recovery(12)
    Client.recover(tmp_path / "back", phrase, server=origin, key="p256").close()
    pairs = [" ".join(pair) for pair in pairwise(phrase.split())]
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) >= 4
    for path in files:
        text = path.read_bytes().decode("latin-1")
        assert not any(pair in text for pair in pairs)


def test_every_lost_message_of_a_recovery_is_made_good(
    account: Client, origin: str, tmp_path: Path
) -> None:
    phrase, seen = account.create_recovery(), set[tuple[str, str]]()

    def once(path: str) -> str:
        for what in ("before", "after"):
            if (path, what) not in seen:
                seen.add((path, what))
                return what
        return ""

    options = Options(transport=Faulty(once))
    with Client.recover(
        tmp_path / "back", phrase, server=origin, key="p256", options=options
    ) as back:
        back.sync()
        assert texts(back) == ["kept by words alone"]
    assert ("/auth/recover", "after") in seen
    assert len(account.devices()) == 2


def test_killed_before_it_could_keep_anything_it_goes_on_with_the_same_device(
    account: Client, origin: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    phrase = account.create_recovery()
    save = KeyringFile.save

    def dies(file: KeyringFile, keyring: object) -> None:
        if getattr(keyring, "device_id", None) is not None:
            raise KeyboardInterrupt
        save(file, keyring)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(KeyringFile, "save", dies)
        with pytest.raises(KeyboardInterrupt):
            Client.recover(tmp_path / "back", phrase, server=origin, key="p256")
    with Client.recover(tmp_path / "back", phrase, server=origin, key="p256") as back:
        back.sync()
        assert texts(back) == ["kept by words alone"]
    assert len(account.devices()) == 2
    with pytest.raises(AlreadySetUp):
        Client.recover(tmp_path / "back", phrase, server=origin, key="p256")


def test_a_folder_whose_key_has_an_account_of_its_own_comes_in_with_another_key(
    account: Client, origin: str, tmp_path: Path
) -> None:
    phrase = account.create_recovery()
    home = tmp_path / "half"
    with Client.create(home, server=origin, key="p256") as half:
        file, keyring = half._file, half._keyring
    (home / "store.db").unlink()
    file.save(replace(keyring, user_id=None, device_id=None))  # as if no answer had come
    with Client.recover(home, phrase, server=origin, key="p256") as back:
        back.sync()
        assert texts(back) == ["kept by words alone"]


def test_a_wrong_phrase_is_refused_here_or_there(
    account: Client, origin: str, tmp_path: Path
) -> None:
    old = account.create_recovery()
    account.create_recovery()
    with pytest.raises(PhraseInvalid):
        Client.recover(tmp_path / "back", f"{old} zoo", server=origin, key="p256")
    assert not (tmp_path / "back").exists()
    with pytest.raises(RecoveryRefused):
        Client.recover(tmp_path / "back", old, server=origin, key="p256")


def test_with_a_delay_the_others_are_told_and_may_stop_it(
    account: Client, origin: str, tmp_path: Path
) -> None:
    phrase = account.create_recovery(delay_seconds=3600)
    with pytest.raises(RecoveryDelayed):
        Client.recover(tmp_path / "back", phrase, server=origin, key="p256")
    with pytest.raises(RecoveryDelayed) as delayed:
        Client.recover(tmp_path / "back", phrase, server=origin, key="p256")
    seen = account.overview()
    assert seen.events[-1].kind == "recovery_started"
    assert seen.recovery is not None
    assert seen.recovery.available_at == delayed.value.available_at
    account.cancel_recovery()
    recovery = account.overview().recovery
    assert recovery is not None
    assert recovery.available_at is None
    account.remove_recovery()
    with pytest.raises(RecoveryRefused):
        Client.recover(tmp_path / "back", phrase, server=origin, key="p256")


def test_a_new_vault_key_is_in_the_bundle_after_the_next_sync(
    account: Client, origin: str, tmp_path: Path
) -> None:
    phrase = account.create_recovery(delay_seconds=0)
    newer = {**account._keyring.key_epochs, 2: os.urandom(32)}
    account._save(replace(account._keyring, key_epochs=newer))
    account.sync()
    with Client.recover(tmp_path / "back", phrase, server=origin, key="p256") as back:
        assert back._keyring.key_epochs == newer


def test_a_device_whose_phrase_was_replaced_does_not_bring_it_back(
    account: Client, origin: str, tmp_path: Path
) -> None:
    old = account.create_recovery()
    with Client.recover(tmp_path / "two", old, server=origin, key="p256") as two:
        new = two.create_recovery()
        account._save(
            replace(account._keyring, key_epochs={**account._keyring.key_epochs, 2: bytes(32)})
        )
        assert account.sync().complete
        assert account._keyring.recovery is None
    with pytest.raises(RecoveryRefused):
        Client.recover(tmp_path / "three", old, server=origin, key="p256")
    Client.recover(tmp_path / "three", new, server=origin, key="p256").close()


def test_events_are_new_once(account: Client) -> None:
    assert [event.kind for event in account.unseen(account.security_events())] == ["device_added"]
    account.create_recovery()
    assert [event.kind for event in account.unseen(account.security_events())] == ["recovery_set"]
    assert account.unseen(account.security_events()) == []


# --- on a terminal ------------------------------------------------------------------------------


class Screen:
    """A command on a terminal of its own."""

    def __init__(self, *words: str) -> None:
        self._own, other = pty.openpty()
        self.seen = ""
        environment = {**os.environ, "PYTHONPATH": str(SOURCE), "TERM": "xterm"}
        environment.pop("ECHOLIA_PASSPHRASE", None)
        command = [sys.executable, "-m", "echolia", *words]
        self._process = subprocess.Popen(
            command,
            stdin=other,
            stdout=other,
            stderr=other,
            env=environment,
            start_new_session=True,
            preexec_fn=_take_terminal,
        )
        os.close(other)

    def until(self, text: str, seconds: float = 20) -> str:
        """What came since the last time, up to this text."""
        end = time.monotonic() + seconds
        while text not in self.seen:
            assert time.monotonic() < end, self.seen
            if select.select([self._own], [], [], 0.2)[0]:
                try:
                    self.seen += os.read(self._own, 65536).decode()
                except OSError:
                    break
        assert text in self.seen, self.seen
        before, _, self.seen = self.seen.partition(text)
        return before

    def type(self, line: str) -> None:
        os.write(self._own, f"{line}\n".encode())

    def end(self) -> int:
        status = self._process.wait(20)
        os.close(self._own)
        return status


def _take_terminal() -> None:
    import fcntl
    import termios

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def create_on_screen(home: Path) -> tuple[str, str]:
    """The words as shown, and all that was on the screen."""
    screen = Screen("--home", str(home), "recovery", "create", "--words", "12")
    shown = screen.until("Press Enter")
    numbered = dict(re.findall(r"(\d+)  ([a-z]+)", shown))
    words = [numbered[str(number)] for number in range(1, 13)]
    screen.type("")
    rest = ""
    for attempt in range(2):
        rest += screen.until("Word ")
        position = int(screen.until(", from the paper: "))
        if attempt == 0:
            screen.type("zzzz")
            rest += screen.until(f"that is not word {position}")
            screen.until(", from the paper: ")
        screen.type(words[position - 1][:4])
    rest += screen.until("these words now open the journal")
    assert screen.end() == 0
    return " ".join(words), rest


def left_of(words: str, text: str) -> int:
    """How many of the words can be read in the text; a few are words of our own sentences too."""
    return len(set(words.split()) & set(text.replace(".", " ").split()))


def test_words_are_shown_once_on_a_terminal_and_typed_back_unseen(
    account: Client, origin: str, tmp_path: Path
) -> None:
    words, rest = create_on_screen(tmp_path / "one")
    assert left_of(words, rest) <= 4

    screen = Screen(
        "--home", str(tmp_path / "back"), "recovery", "use", "--server", origin, "--key", "p256"
    )
    screen.until("The 12 or 24 words")
    screen.type(words.replace(words.split()[2], "xyzzy", 1))
    told = screen.until("The 12 or 24 words")
    assert "is not in the list" in told
    screen.type(" ".join(word[:4] for word in words.split()))
    told += screen.until("Choose a passphrase")
    screen.type("")
    told += screen.until("recovered: this device is")
    assert screen.end() == 0
    assert left_of(words, told) <= 4
    with Client.open(tmp_path / "back") as back:
        assert texts(back) == ["kept by words alone"]


def test_words_do_not_go_into_a_pipe(
    account: Client, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--home", str(tmp_path / "one"), "recovery", "create"]) == 10
    out, err = capsys.readouterr()
    assert out == ""
    assert "terminal" in err
    assert account.overview().recovery is None


def test_a_script_comes_back_by_words_from_a_pipe(
    account: Client, origin: str, tmp_path: Path
) -> None:
    phrase = account.create_recovery(delay_seconds=3600)

    def use(words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "echolia", "--home", str(tmp_path / "back"), "--json"]
        return subprocess.run(
            [*command, "recovery", "use", "--server", origin, "--key", "p256"],
            input=words,
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "PYTHONPATH": str(SOURCE)},
        )

    waits = use(phrase)
    assert waits.returncode == 10
    assert "run the same command again after" in waits.stderr
    account.set_recovery(phrase, delay_seconds=0)
    done = use(phrase)
    assert done.returncode == 0, done.stderr
    assert '"recovered": true' in done.stdout
    assert use("no such words").returncode == 10


def test_the_list_of_devices_says_what_is_new_and_who_waits(
    account: Client, origin: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = ["--home", str(tmp_path / "one")]
    phrase = account.create_recovery(delay_seconds=3600)
    with pytest.raises(RecoveryDelayed):
        Client.recover(tmp_path / "back", phrase, server=origin, key="p256")
    main([*home, "devices"])
    first = capsys.readouterr().err
    assert "a recovery phrase was made" in first
    assert "asked to come in" in first
    assert "recovery cancel" in first
    assert main([*home, "recovery", "cancel"]) == 0
    capsys.readouterr()
    main([*home, "devices"])
    assert capsys.readouterr().err == ""
    assert main([*home, "recovery", "remove"]) == 0


def test_revoking_the_device_that_made_the_phrase_says_so(
    account: Client, origin: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    phrase = account.create_recovery()
    Client.recover(tmp_path / "back", phrase, server=origin, key="p256").close()
    home = ["--home", str(tmp_path / "back")]
    assert main([*home, "revoke", account.vault.device_id]) == 0
    assert "recovery create" in capsys.readouterr().err


def test_the_server_keeps_no_authenticator_and_no_words(origin: str, tmp_path: Path) -> None:
    """All that leaves the device when a phrase is set is a locator, a hash and an envelope."""
    sent: list[bytes] = []

    class Watched(httpx.HTTPTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            sent.append(request.read())
            return super().handle_request(request)

    options = Options(transport=Watched())
    with Client.create(tmp_path / "one", server=origin, key="p256", options=options) as client:
        phrase = client.create_recovery()
    keys = RecoveryKeys.of(entropy_of(phrase))
    everything = b"".join(sent)
    assert keys.locator in everything
    for secret in (keys.authenticator, keys.bundle_key, entropy_of(phrase)):
        assert secret not in everything
        assert b64(secret).encode() not in everything
    assert phrase.encode() not in everything
