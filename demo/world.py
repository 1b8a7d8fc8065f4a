"""What the steps of the demo share, and the words they write."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from demo.device_secrets import secrets_of
from demo.devices import Device, at_once
from demo.needles import Needle
from demo.screen import Screen
from demo.server import Server

ON_LAPTOP = "# No answer\n\nThe server has gone quiet. The kettle, I am pleased to say, has not.\n"
ON_PHONE = "Wrote this under the railway bridge, no bars, rain on the screen, every word kept.\n"
LAPTOP_EDIT = "Laptop, evening: counted the leaves again and made it eleven, not nine."
PHONE_EDIT = "Phone, on the stairs: somebody has been watering it behind my back."
RESCUE = "Phone: do not throw this one away, the chutney turned out to be good after all."
WRITTEN = (*ON_LAPTOP.splitlines(), ON_PHONE, LAPTOP_EDIT, PHONE_EDIT, RESCUE)

Entry = dict[str, Any]


@dataclass
class World:
    """Everything the steps share. `needles` grows as secrets come into being."""

    screen: Screen
    folder: Path
    server: Server
    laptop: Device
    phone: Device
    needles: list[Needle] = field(default_factory=list)
    before: list[Entry] = field(default_factory=list)
    """The journal when the devices part."""
    after: list[Entry] = field(default_factory=list)
    """The journal when both have all there is."""

    @property
    def roots(self) -> list[Path]:
        """All that may lie on a disk in the end. What the demo exports to compare is elsewhere."""
        return [self.server.folder, self.laptop.home.parent, self.phone.home.parent]

    def note_secrets(self) -> None:
        """Remember what the devices keep to themselves at this moment."""
        for found in at_once(lambda: secrets_of(self.laptop), lambda: secrets_of(self.phone)):
            self.needles += found
