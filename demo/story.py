"""The demo from beginning to end: one step, one function."""

import re
import secrets
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from demo import server_files
from demo.device_secrets import secret_of_link, secret_of_server, secrets_of
from demo.devices import OFFLINE, CommandFailed, Device, at_once, pair
from demo.needles import Needle, diary_needles, line_needle
from demo.plant import prove
from demo.screen import Screen
from demo.server import Server
from demo.sweep import Find, Sieve, files_below, sweep

DIARY = Path(__file__).parent / "diary"
EDITED_BY_BOTH = "2025-04-13"
DELETED_AND_EDITED = "2025-07-19"
ONLY_DELETED = "2025-01-13"
MARK = "Written at the same time on another device"
MAX_SYNCS = 10

ON_LAPTOP = "# No answer\n\nThe server has gone quiet. The kettle, I am pleased to say, has not.\n"
ON_PHONE = "Wrote this under the railway bridge, no bars, rain on the screen, every word kept.\n"
LAPTOP_EDIT = "Laptop, evening: counted the leaves again and made it eleven, not nine."
PHONE_EDIT = "Phone, on the stairs: somebody has been watering it behind my back."
RESCUE = "Phone: do not throw this one away, the chutney turned out to be good after all."

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
        for step in (_server_starts, _laptop_begins, _phone_joins, _apart, _together, _look, _find):
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


def _look(world: World) -> None:
    screen = world.screen
    with screen.step("What the server has, as a thief of its disk would see it"):
        master = world.server.data / "master.db"
        (own,) = server_files.user_databases(world.server.data)
        rows = [("master.db", master), ("one file per user", own)]
        screen.table(["database", "tables and their rows"], [(n, _rows_of(f)) for n, f in rows])
        held = server_files.held_entries(own)
        _show_one(screen, world.after, held)
        _show_sizes(screen, world.after, held)


def _rows_of(database: Path) -> str:
    counted = server_files.tables(database)
    filled = ", ".join(f"{table.name} {table.rows}" for table in counted if table.rows)
    return f"{filled}; empty: {', '.join(table.name for table in counted if not table.rows)}"


def _show_one(screen: Screen, entries: list[Entry], held: Sequence[server_files.Held]) -> None:
    entry = next(entry for entry in entries if entry["text"] == ON_LAPTOP)
    row = next(each for each in held if each.item_id == entry["id"])
    screen.says("One entry as its writer sees it:")
    screen.quotes(entry["text"].strip().splitlines())
    screen.says(f"and as the server has it ({row.size} bytes, clock {row.vector_clock}):")
    screen.quotes(_hex_lines(row.data[:64]))


def _show_sizes(screen: Screen, entries: list[Entry], held: Sequence[server_files.Held]) -> None:
    stored: dict[str, list[int]] = {}
    for row in held:
        stored.setdefault(row.item_id, []).append(row.size)
    by_length = sorted(
        ((len(e["text"].encode()), e) for e in entries if len(stored[e["id"]]) == 1),
        key=lambda each: each[0],
    )
    shown = [by_length[len(by_length) * part // 4] for part in range(4)] + by_length[-1:]
    rows = [
        (textwrap.shorten(e["title"], 50, placeholder="…"), f"{n:,}", f"{stored[e['id']][0]:,}")
        for n, e in shown
    ]
    screen.table(["entry", "bytes written", "bytes stored"], rows, numbers=2)
    sizes = {row.size for row in held}
    screen.claim(
        f"Lengths are hidden: {len(held)} sealed versions have {len(sizes)} different sizes,"
        " all of them padded ones",
        all(server_files.is_padded(size) for size in sizes),
    )


def _find(world: World) -> None:
    screen = world.screen
    with screen.step("Every secret is looked for in every byte of every file"):
        sieve = Sieve(_all_needles(world))
        screen.table(["what is looked for", "how many"], _by_kind(sieve.needles), numbers=1)
        with TemporaryDirectory(dir=world.folder, prefix="planted-") as planted:
            proof = prove(sieve, Path(planted))
        screen.claim(
            f"The search can find: {proof.planted} secrets planted in plain, UTF-16, base64, hex,"
            " escapes, zlib, gzip, rows and logs,"
            f" {proof.planted - len(proof.missed)} of them found",
            not proof.missed,
        )
        _claim_nothing_found(world, sieve)


def _claim_nothing_found(world: World, sieve: Sieve) -> None:
    files = [file for root in world.roots for file in files_below(root)]
    total = sum(file.stat().st_size for file in files)
    with world.screen.progress("Searching", total) as progress:
        swept = sweep(sieve, world.roots, progress)
    world.screen.says("Searched: " + ", ".join(_file_kinds(world.folder, files)))
    own, elsewhere = _parted(world, swept.finds)
    world.screen.quotes([str(find) for find in sorted(elsewhere, key=str)[:12]])
    world.screen.claim(
        f"{len(sieve.needles):,} secrets in {sieve.spellings:,} spellings, in {swept.files} files"
        f" of server, log and both devices ({swept.size_bytes / 1e6:.1f} MB):"
        f" {len(elsewhere)} found",
        not elsewhere and len(own) > 0,
    )


def _parted(world: World, finds: frozenset[Find]) -> tuple[list[Find], list[Find]]:
    """The server's own secret in its own file, which proves that this very search sees; and what
    should not be there."""
    home = _secret_file(world).relative_to(world.folder).as_posix()
    own = [f for f in finds if f.needle.kind == "server secret" and f.file == home]
    return own, [find for find in finds if find not in own]


def _all_needles(world: World) -> list[Needle]:
    written = [*ON_LAPTOP.splitlines(), ON_PHONE, LAPTOP_EDIT, PHONE_EDIT, RESCUE]
    lines = (line_needle("written by the demo", line) for line in written)
    needles = [*world.needles, *lines, *secret_of_server(_secret_file(world))]
    return list(dict.fromkeys(needle for needle in needles if needle is not None))


# --- small things -------------------------------------------------------------------------------


def _secret_file(world: World) -> Path:
    return world.server.data / "jwt_secret"


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


def _hex_lines(data: bytes) -> list[str]:
    lines = [data[at : at + 16] for at in range(0, len(data), 16)]
    return [f"{line.hex(' ')}  {_printable(line)}" for line in lines]


def _printable(data: bytes) -> str:
    return "".join(chr(byte) if 32 <= byte < 127 else "·" for byte in data)


def _by_kind(needles: Sequence[Needle]) -> list[tuple[str, str]]:
    counts: dict[str, int] = {}
    for needle in needles:
        counts[needle.kind] = counts.get(needle.kind, 0) + 1
    return [(kind, f"{count:,}") for kind, count in counts.items()]


def _file_kinds(folder: Path, files: Sequence[Path]) -> list[str]:
    """Names of the files, that of the account's without its random part."""
    names = (file.relative_to(folder).as_posix() for file in files)
    return [re.sub(r"users/../user_[0-9a-f-]{36}", "users/…/user_…", name) for name in names]
