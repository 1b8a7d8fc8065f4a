"""The last two steps: what a thief of the files would have."""

import re
import textwrap
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from demo import server_files
from demo.device_secrets import secret_of_server
from demo.needles import Needle, line_needle
from demo.plant import prove
from demo.screen import Screen
from demo.sweep import Find, Sieve, files_below, sweep
from demo.world import ON_LAPTOP, WRITTEN, Entry, World


def look(world: World) -> None:
    """Tables, rows and sizes, as they lie in the server's files."""
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


def find(world: World) -> None:
    """The sweep, after the proof that it can find."""
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
    lines = (line_needle("written by the demo", line) for line in WRITTEN)
    needles = [*world.needles, *lines, *secret_of_server(_secret_file(world))]
    return list(dict.fromkeys(needle for needle in needles if needle is not None))


def _secret_file(world: World) -> Path:
    return world.server.data / "jwt_secret"


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
