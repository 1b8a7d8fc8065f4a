"""`python -m demo`: the whole of it in one go. Exit status 0 only if everything shown holds."""

import argparse
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from types import FrameType

from demo.devices import CommandFailed
from demo.screen import Screen
from demo.server import ServerFailed
from demo.story import tell
from demo.world import World

GONE = "Every process has ended, every file is removed."


def main(arguments: list[str] | None = None, screen: Screen | None = None) -> int:
    """Tell the story in a temporary folder, which is gone afterwards unless it is to be kept."""
    parser = argparse.ArgumentParser(prog="demo", description="Two devices, one journal.")
    parser.add_argument("--keep", action="store_true", help="leave all files to be looked at")
    keep = parser.parse_args(arguments).keep
    screen = screen or Screen()
    folder = Path(tempfile.mkdtemp(prefix="echolia-demo-")).resolve()
    try:
        world = tell(screen, folder)
        screen.summary(_where_to_look(world) if keep else [GONE])
    except (CommandFailed, ServerFailed) as error:
        screen.failure(str(error))
        return 1
    except KeyboardInterrupt:
        return 130
    finally:
        if not keep:
            shutil.rmtree(folder)
    return 0 if screen.all_hold else 1


def _where_to_look(world: World) -> list[str]:
    devices = (
        f"echolia --home {device.home}  (passphrase: {device.passphrase})"
        for device in (world.laptop, world.phone)
    )
    return [f"Kept: {world.folder}", *devices]


def _leave(number: int, _frame: FrameType | None) -> None:
    sys.exit(128 + number)


if __name__ == "__main__":
    # Asked to end, still end the server and remove the files.
    for asked in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(asked, _leave)
    sys.exit(main())
