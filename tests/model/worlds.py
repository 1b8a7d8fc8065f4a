"""Where stories are played: one application for all of them, each on files of its own."""

import gc
import shutil
import tempfile
from pathlib import Path
from types import TracebackType

from tests.model.chance import seeded
from tests.model.device import set_up
from tests.model.link import Link
from tests.model.server import Server, copy_tree
from tests.model.story import Story
from tests.model.world import World

_TOLD_LINES = 60
DEVICES = (3, 4, 5)


class Worlds:
    """A server, and accounts of three to five devices to begin from. Use as a context manager."""

    def __init__(self) -> None:
        memory = Path("/dev/shm")  # where there is one, thousands of stories need no disk
        self._root = Path(tempfile.mkdtemp(dir=memory if memory.is_dir() else None))
        self.server = Server(self._root)
        self._templates: dict[int, Path] = {}

    def __enter__(self) -> "Worlds":
        for devices in DEVICES:  # now: a test may plant a fault before its first story
            self._template(devices)
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _: TracebackType | None,
    ) -> None:
        self.server.close()
        shutil.rmtree(self._root)

    def play(self, story: Story, seed: int = 0) -> World:
        """What the world came to. AssertionError if something did not hold."""
        gc.disable()  # a tenth of the time, and one story is soon over
        template = self._template(story.devices)
        homes = self._root / "homes"
        with seeded(seed):
            self.server.begin(template / "data")
            copy_tree(template / "homes", homes)
            world = World(self.server, homes, story)
            try:
                world.play()
            except Exception as error:
                error.add_note("\n".join(world.trace[-_TOLD_LINES:]))
                raise
            finally:
                world.close()
                gc.enable()
        return world

    def _template(self, devices: int) -> Path:
        if devices not in self._templates:
            template = self._root / f"template-{devices}"
            with seeded(devices):
                self.server.begin(None)
                set_up(template / "homes", Link(self.server, _unnoted), devices)
                self.server.stop()
                shutil.copytree(self.server.data, template / "data")
            self._templates[devices] = template
        return self._templates[devices]


def _unnoted(_line: str) -> None:
    """A trace for nobody."""
