"""What a user's own database knows and the master has forgotten comes back into the master.

A master restored from an older copy lacks devices that were paired since, and holds as live what
was revoked since. Both are put right when the user's database is opened, before anything else sees
it; the other way round, `Accounts.statements_on_open` does the same.
"""

from collections.abc import Sequence

from app import events
from app.auth import adoption_store, deletion_store, store
from app.auth.deletion import known_hashes
from app.auth.devices import Device
from app.auth.server_keys import ServerKeys
from app.clock import Clock
from app.database.port import Conflict, Database, Missing


class Adoption:
    """Keeps the master from knowing less than its users' databases."""

    def __init__(self, master: Database, keys: ServerKeys, clock: Clock) -> None:
        self._master = master
        self._keys = keys
        self._clock = clock

    async def adopt(self, user_id: str, own: Database) -> None:
        """The master knows the account and every device in its own database. Raises Missing if
        the account was deleted. Costs two reads when there is nothing to do."""
        rows = (await own.read([store.select_listed_devices()]))[0]
        copies = [adoption_store.own_device_of(user_id, row) for row in rows]
        found = await self._master.read(
            [store.select_devices_of(user_id), store.select_account_state(user_id)]
        )
        news = forgotten(store.devices_of(found[0]), copies)
        if not news and (found[1] or not copies):
            return
        now = int(self._clock())
        created_at = min((each.created_at for each in copies), default=now)
        try:
            await self._master.write(
                [
                    deletion_store.is_not_deleted(known_hashes(self._keys, user_id)),
                    adoption_store.adopt_account(user_id, created_at, now),
                    *(adoption_store.adopt_device(device, now) for device in news),
                ]
            )
        except Conflict:
            raise Missing from None
        events.account_mended(devices=len(news))


def forgotten(known: Sequence[Device], copies: Sequence[Device]) -> list[Device]:
    """Of an account's own copies, those from which the master has something to learn: a device it
    does not know, a revocation, a later generation. Pure."""
    by_id = {device.device_id: device for device in known}
    return [each for each in copies if _tells_more(each, by_id.get(each.device_id))]


def _tells_more(copy: Device, known: Device | None) -> bool:
    if known is None or copy.generation > known.generation:
        return True
    return copy.status == "revoked" and known.status == "active"
