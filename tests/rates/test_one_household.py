"""Honest devices that share an address, each as patient as the SDK makes it."""

import heapq
import math
import random

import pytest

from app.rates.buckets import KEY_CALLS
from app.rates.limits import MemoryLimits
from echolia._patience import is_worth_waiting, pause

CALLS = 2
"""Of a log-in: the challenge and the answer to it."""


@pytest.mark.parametrize("seed", range(5))
async def test_twenty_devices_behind_one_address_all_log_in(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw = random.Random(seed)
    monkeypatch.setattr("echolia._patience.random.uniform", draw.uniform)
    now = 0.0
    limits = MemoryLimits(lambda: now)
    coming = [(draw.random(), device, CALLS, 0) for device in range(20)]
    heapq.heapify(coming)
    while coming:
        now, device, left, tried = heapq.heappop(coming)
        if seconds := await limits.take(KEY_CALLS.one, b"home"):
            asked = max(1.0, math.ceil(seconds))
            assert is_worth_waiting(asked, tried + 1), f"device {device} gave up"
            heapq.heappush(coming, (now + pause(asked, tried + 1), device, left, tried + 1))
        elif left > 1:
            heapq.heappush(coming, (now + 0.05, device, left - 1, 0))
    assert now < 60
