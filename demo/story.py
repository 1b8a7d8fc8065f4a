"""The demo from beginning to end: one step, one function."""

import secrets
from collections.abc import Sequence
from pathlib import Path

from demo.device_secrets import secret_of_link
from demo.devices import OFFLINE, CommandFailed, Device, at_once, pair
from demo.needles import diary_needles
from demo.screen import Screen
from demo.server import Server
from demo.thief import find, look
from demo.world import LAPTOP_EDIT, ON_LAPTOP, ON_PHONE, PHONE_EDIT, RESCUE, Entry, World

DIARY = Path(__file__).parent / "diary"
EDITED_BY_BOTH = "2025-04-13"
DELETED_AND_EDITED = "2025-07-19"
ONLY_DELETED = "2025-01-13"
MARK = "Written at the same time on another device"
MAX_SYNCS = 10


def tell(screen: Screen, folder: Path) -> World:
    """Run every step in a folder of its own; claims go to the screen. No process of it is left."""
    server = Server(folder / "server")
    laptop = Device("Ismene's laptop", folder / "laptop" / "journal", _passphrase())
    phone = Device("Ismene's phone", folder / "phone" / "journal", _passphrase())
    world = World(screen, folder, server, laptop, phone, list(diary_needles(DIARY)))
    screen.title(
        "Echolia: one diary, two devices, and a server that cannot read it",
        "Everything here is real and happens now, on this machine only: a server process, and the"
        "\nterminal client, a process for every command. The diary is the sample in demo/diary.",
    )
    try:
        for step in (_server_starts, _laptop_begins, _phone_joins, _apart, _together, look, find):
            step(world)
    finally:
        server.kill()
    return world


def _passphrase() -> str:
    """Random, so that it cannot be anywhere by chance."""
    return f"heron on the weir {secrets.token_hex(6)}"


# --- the steps ----------------------------------------------------------------------------------


def _server_starts(world: World) -> None:
    with world.screen.step("A server starts, on an empty folder, with nothing configured"):
        world.server.start()
        world.screen.says(f"python -m app, answering on {world.server.url}")


def _laptop_begins(world: World) -> None:
    screen, laptop = world.screen, world.laptop
    files = len(_markdown(DIARY))
    with screen.step(f"The laptop opens an account and brings a diary of {files} files"):
        laptop.run("init", "--server", world.server.url, "--name", laptop.name)
        screen.says("echolia init: two keys made; no name, no e-mail. The key is the account.")
        added = laptop.run("import", str(DIARY))["added"]
        screen.says(f"echolia import demo/diary: {added} entries, each sealed before it is stored")
        sent = laptop.run("sync")["pushed"]
        screen.says(f"echolia sync: {sent} sent")
        screen.claim(
            f"{files} files became {sent} sealed entries on the server", files == added == sent
        )


def _phone_joins(world: World) -> None:
    screen, phone = world.screen, world.phone
    with screen.step("The phone joins: a link from the laptop's screen, a code back from its own"):
        paired = pair(world.laptop, phone)
        world.needles.append(secret_of_link(paired.link))
        screen.says(f"The laptop shows a link (a QR code to people): {paired.link[:34]}…")
        screen.says(f"The phone shows {paired.code[:3]} {paired.code[3:]}; typed on the laptop.")
        screen.says("The vault's key goes over sealed to the phone's key; the server sees neither.")
        world.note_secrets()
        came_out = _exported(world, phone, "first")
        screen.claim(
            f"The phone has the diary: {len(came_out)} files came out as they went in,"
            " byte for byte",
            came_out == _markdown(DIARY),
        )


def _apart(world: World) -> None:
    screen, laptop, phone = world.screen, world.laptop, world.phone
    with screen.step("The server is killed (kill -9). Both devices go on writing"):
        world.server.kill()
        refused = laptop.attempt("sync")
        world.before = laptop.run("list")
        screen.says(f"echolia sync on the laptop: “{refused.complained.strip()[:70]}”")
        both, lost, gone = _chosen(world.before)
        at_once(
            lambda: _write_on_laptop(laptop, both, lost, gone),
            lambda: _write_on_phone(phone, both, lost),
        )
        screen.says(f"Both write an entry, and both edit “{both['title']}” at the same time.")
        screen.says(f"The laptop deletes “{lost['title']}”; the phone, not knowing, edits it.")
        screen.says("The laptop also deletes an entry that the phone leaves alone.")
        screen.claim("Without a server nothing stops", refused.status == OFFLINE)


def _write_on_laptop(laptop: Device, both: Entry, lost: Entry, gone: Entry) -> None:
    laptop.run("write", "-", text=ON_LAPTOP)
    _append(laptop, both, LAPTOP_EDIT)
    laptop.run("delete", lost["id"])
    laptop.run("delete", gone["id"])


def _write_on_phone(phone: Device, both: Entry, lost: Entry) -> None:
    phone.run("write", "-", text=ON_PHONE)
    _append(phone, both, PHONE_EDIT)
    _append(phone, lost, RESCUE)


def _together(world: World) -> None:
    screen, laptop, phone = world.screen, world.laptop, world.phone
    with screen.step("The server starts again on the same files, and both sync"):
        both, lost, gone = _chosen(world.before)
        world.server.start()
        sent = _sync_until_quiet(world)
        screen.claim(
            f"All that was written meanwhile is sent: {sent[0]} changes by the laptop,"
            f" {sent[1]} by the phone",
            sent[:2] == [4, 3],
        )
        screen.says(f"{len(sent)} syncs, in both orders, until neither has news for the other")
        world.note_secrets()
        on_laptop, on_phone = at_once(
            lambda: _exported(world, laptop, "laptop"), lambda: _exported(world, phone, "phone")
        )
        screen.claim(
            f"Both devices end with the same journal: {len(on_laptop)} files, byte for byte",
            on_laptop == on_phone and len(on_laptop) == len(_markdown(DIARY)) + 2 - 1,
        )
        world.after = phone.run("list")
        now = {entry["id"]: entry for entry in world.after}
        _claim_both_edits(screen, now[both["id"]])
        _claim_outcomes(screen, now, lost, gone)
        _claim_untouched(screen, on_laptop)


def _claim_both_edits(screen: Screen, entry: Entry) -> None:
    screen.says(f"“{entry['title']}” now has, on both devices:")
    expected = (LAPTOP_EDIT, PHONE_EDIT, MARK)
    lines = entry["text"].splitlines()
    screen.quotes([line for line in lines if any(words in line for words in expected)])
    kept = all(words in entry["text"] for words in expected)
    screen.claim(f"Both edits of “{entry['title']}” are there, marked", kept)


def _claim_outcomes(screen: Screen, now: dict[str, Entry], lost: Entry, gone: Entry) -> None:
    found = now.get(lost["id"])
    survived = found is not None and RESCUE in found["text"] and found["outlived_delete"] is True
    screen.claim(f"“{lost['title']}”, deleted here and edited there, survived, marked", survived)
    new = [text for text in (ON_LAPTOP, ON_PHONE) if any(e["text"] == text for e in now.values())]
    screen.claim(
        "Both new entries arrived; what was only deleted is gone",
        len(new) == 2 and gone["id"] not in now,
    )


def _claim_untouched(screen: Screen, exported: dict[str, bytes]) -> None:
    touched = (EDITED_BY_BOTH, DELETED_AND_EDITED, ONLY_DELETED)
    before = {name: data for name, data in _markdown(DIARY).items() if not _is_of(name, touched)}
    same = all(exported.get(name) == data for name, data in before.items())
    screen.claim(f"The {len(before)} entries nobody touched are as they were, byte for byte", same)


# --- small things -------------------------------------------------------------------------------


def _markdown(folder: Path) -> dict[str, bytes]:
    """Path below the folder to content."""
    files = sorted(folder.rglob("*.md"))
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in files}


def _exported(world: World, device: Device, name: str) -> dict[str, bytes]:
    """The device's whole journal as files, in a folder that only the demo looks at."""
    folder = world.folder / "exports" / name
    device.run("export", str(folder))
    return _markdown(folder)


def _chosen(entries: list[Entry]) -> tuple[Entry, Entry, Entry]:
    """The entries that both edit, that one deletes and one edits, that one deletes."""
    by_day = {entry["day"]: entry for entry in entries}
    return by_day[EDITED_BY_BOTH], by_day[DELETED_AND_EDITED], by_day[ONLY_DELETED]


def _append(device: Device, entry: Entry, words: str) -> None:
    device.run("edit", entry["id"], "-", text=f"{entry['text'].rstrip()}\n\n{words}\n")


def _sync_until_quiet(world: World) -> list[int]:
    """How many changes each sync sent. Raises CommandFailed if there is no end to the news."""
    turns = [world.laptop, world.phone, world.phone, world.laptop]
    behind, sent = {device.name for device in turns}, list[int]()
    while behind or len(sent) < len(turns):
        if len(sent) == MAX_SYNCS:
            raise CommandFailed(f"after {MAX_SYNCS} syncs the devices still had news")
        device = turns[len(sent) % len(turns)]
        sent.append(device.run("sync")["pushed"])
        behind = {each.name for each in turns} if sent[-1] else behind
        behind.discard(device.name)
    return sent


def _is_of(name: str, days: Sequence[str]) -> bool:
    return any(day in name for day in days)
