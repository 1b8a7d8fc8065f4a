"""How much each device deleted lately without being asked, so that a mass of deletions is seen in
small pushes too. A guard against faulty clients: it lives in memory and forgets with the process.
"""

WINDOW_SECONDS = 600
_CROWDED = 10_000


class RecentDeletes:
    """Deleted items by device, in a window of WINDOW_SECONDS. Belongs to one event loop."""

    def __init__(self) -> None:
        self._by_device: dict[str, list[tuple[int, int]]] = {}

    def count(self, device_id: str, now: int) -> int:
        """Items that this device deleted lately, since somebody last confirmed."""
        if device_id not in self._by_device:
            return 0
        return sum(count for _, count in self._lately(device_id, now))

    def note(self, device_id: str, count: int, now: int, *, confirmed: bool) -> None:
        """It deleted so many more. What somebody confirmed was meant, and so was what led to it."""
        if confirmed:
            self._by_device.pop(device_id, None)
        elif count:
            self._forget_if_crowded(now)
            self._by_device[device_id] = [*self._lately(device_id, now), (now, count)]

    def _lately(self, device_id: str, now: int) -> list[tuple[int, int]]:
        found = self._by_device.get(device_id, ())
        return [(at, count) for at, count in found if now - WINDOW_SECONDS < at <= now]

    def _forget_if_crowded(self, now: int) -> None:
        if len(self._by_device) < _CROWDED:
            return
        for device_id in tuple(self._by_device):
            if not self._lately(device_id, now):
                del self._by_device[device_id]
