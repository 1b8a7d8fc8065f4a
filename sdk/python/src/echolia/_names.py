"""Device names that say nothing about their owner, for whoever does not care to choose."""

from __future__ import annotations

import secrets

MAX_NAME_LENGTH = 64
_FIRST = """
amber brisk calm clear copper coral dusky early ember fern gentle golden hazel ivory jade keen
linen lunar mellow misty mossy olive opal pale plain quiet rapid rosy russet sandy silver slate
soft solar spare still sunny tawny tidal umber velvet violet warm wild winter
"""
_SECOND = """
alder arch aspen badger beacon birch brook canyon cedar cliff comet cove crane delta dune falcon
fjord garden glade harbor heron hill island kestrel lagoon lantern larch maple marsh meadow
otter owl pebble pine plover prairie reef ridge river robin spruce summit thicket valley willow
wren
"""


def suggest_name() -> str:
    return f"{secrets.choice(_FIRST.split())} {secrets.choice(_SECOND.split())}"


def checked_name(name: str) -> str:
    """`name` without edges; ValueError if empty or longer than 64 characters."""
    cleaned = " ".join(name.split())
    if not 0 < len(cleaned) <= MAX_NAME_LENGTH or len(cleaned.encode()) > 252:
        raise ValueError("a device name has 1 to 64 characters")
    return cleaned
