"""A deletion is cut off before and after every change that it makes to the disk. A server started
on what lies there then has deleted the account, or it has not and the account is whole."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.config import Settings
from app.database import connection, embedded
from tests.conftest import settings_for
from tests.kit.account import delete_account, master_rows, traces_in, traces_of
from tests.kit.clock import SetClock
from tests.kit.device import Device
from tests.kit.identity import said, served
from tests.kit.keys import new_key
from tests.kit.pair import paired

CHANGES = (
    (connection, "_commit"),
    (connection, "_rewrite"),
    (embedded, "_unlink_one"),
    (embedded, "_sync_folder"),
)


class Camera:
    """Copies the data folder before and after every change: what a kill at that moment leaves."""

    def __init__(self, data: Path, into: Path) -> None:
        self._data, self._into = data, into
        self.taken: list[Path] = []

    def around(self, change: Callable[..., Any]) -> Callable[..., Any]:
        def taken(*arguments: Any, **named: Any) -> Any:
            self._take()
            result = change(*arguments, **named)
            self._take()
            return result

        return taken

    def _take(self) -> None:
        folder = self._into / str(len(self.taken))
        shutil.copytree(self._data, folder / "data")
        self.taken.append(folder)


def again(device: Device, **changes: Any) -> Device:
    """The same device, as it was before it came to know anything new."""
    return Device(**{**vars(device), "session": dict(device.session), "nonce": None} | changes)


async def test_whatever_a_deletion_leaves_is_carried_through(
    settings: Settings, clock: SetClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    camera = Camera(settings.data_dir, tmp_path / "cut")
    async with served(settings, clock) as http:
        device = Device(http, new_key(), clock=clock)
        (await device.register()).raise_for_status()
        second = await paired(device, Device(http, clock=clock))
        await device.push(device.change())
        await device.push(device.change())
        traces = traces_of(device, second)
        with monkeypatch.context() as patch:
            for module, name in CHANGES:
                patch.setattr(module, name, camera.around(getattr(module, name)))
            assert said(await delete_account(again(device))) == (204, None)
    assert len(camera.taken) >= 16
    outcomes = [await _after(folder, device, second, traces, clock) for folder in camera.taken]
    # First it has not happened, from some point on it has: never the other way round.
    assert outcomes == sorted(outcomes, reverse=True)
    assert {"whole", "gone"} == set(outcomes)


async def _after(
    folder: Path, device: Device, second: Device, traces: dict[bytes, str], clock: SetClock
) -> str:
    settings = settings_for(folder)
    async with served(settings, clock) as http:
        app: Any = http._transport.app  # type: ignore[attr-defined]
        one, two = again(device, http=http), again(second, http=http)
        outcome = "whole" if (await one.pull()).is_success else "gone"
        if outcome == "whole":
            assert len((await two.pull_all()).items) == 2
            assert said(await delete_account(again(one))) == (204, None)
        await app.state.account.tidy()  # the start's own round may be under way
        for each in (one, two):
            assert said(await each.pull()) == (401, "not_authenticated")
            assert said(await each.refresh()) == (401, "refresh_invalid")
            assert said(await each.log_in()) == (401, "login_failed")
        unfinished = "SELECT COUNT(*) FROM deletion WHERE erased_at IS NULL"
        assert master_rows(settings.data_dir, unfinished) == [(0,)]
        assert traces_in(settings.data_dir, traces) == set(), folder.name
        assert (await one.register()).status_code == 201
        assert one.user_id != device.user_id
    return outcome
