"""`from app.database import db_manager`: the process's own handle on open databases."""

import uuid

import pytest

from app.config import Settings
from app.database import db_manager
from app.database.port import Missing, Unavailable
from tests.kit.clock import SetClock
from tests.kit.device import Device
from tests.kit.identity import served
from tests.kit.keys import new_key
from tests.kit.storage import SEQ, side_file
from tests.kit.sync import user_file


async def test_it_answers_while_an_application_runs(settings: Settings, clock: SetClock) -> None:
    with pytest.raises(Unavailable):
        await db_manager.get_user_db(str(uuid.uuid4()))
    async with served(settings, clock) as http:
        device = Device(http, new_key(), clock=clock)
        (await device.register()).raise_for_status()
        db = await db_manager.get_user_db(device.user_id)
        assert await db.read([SEQ]) == [[(0,)]]
        nobody = await db_manager.get_user_db(str(uuid.uuid4()))
        with pytest.raises(Missing):
            await nobody.read([SEQ])
    with pytest.raises(Unavailable):
        await db_manager.cleanup_inactive_replicas()


async def test_cleaning_up_closes_the_idle_and_leaves_no_wal(
    settings: Settings, clock: SetClock
) -> None:
    async with served(settings, clock) as http:
        device = Device(http, new_key(), clock=clock)
        (await device.register()).raise_for_status()
        file = user_file(settings.data_dir, device.user_id)
        assert side_file(file)
        assert await db_manager.cleanup_inactive_replicas(days=7) == 0
        assert side_file(file), "it was used just now"
        assert await db_manager.cleanup_inactive_replicas(days=0) == 1
        assert side_file(file) is None
        assert (await device.push(device.change())).is_success
