"""An account of two devices, and its tables."""

from collections.abc import Callable

import pytest

from app.config import Settings
from tests.kit.device import Device
from tests.kit.sync import Tables, joined, tables_of


@pytest.fixture
async def other(device: Device) -> Device:
    """A second device of `device`'s account."""
    return await joined(device)


@pytest.fixture
async def stranger(new_device: Callable[[], Device]) -> Device:
    """A device of another account."""
    made = new_device()
    (await made.register()).raise_for_status()
    return made


@pytest.fixture
def tables(settings: Settings, device: Device) -> Callable[[], Tables]:
    """What is on disk of `device`'s account; the sums in it are checked."""

    def read() -> Tables:
        found = tables_of(settings.data_dir, device.user_id)
        found.check()
        return found

    return read
