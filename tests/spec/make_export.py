"""Makes spec/vectors/export.json: a small account's export, whole, and ways in which it is not.

Run it as `python -m tests.spec.make_export`.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

VECTORS = Path(__file__).parents[2] / "spec" / "vectors" / "export.json"
COMMENT = "Account exports as spec/export.md lays them out; `text` is a whole file in UTF-8."
USER, DEVICE = "7b0c7c2e-9d2b-4b8e-8a54-0f6f0c6a1d11", "1f2e3d4c-5b6a-4978-8796-a5b4c3d2e1f0"


def line(kind: str, **members: Any) -> str:
    return json.dumps({"type": kind, **members}, separators=(",", ":"), ensure_ascii=False) + "\n"


def digest(*lines: str) -> str:
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def item(item_id: str, seq: int, counter: int) -> str:
    version = {
        "device_id": DEVICE,
        "vector_clock": {DEVICE: counter},
        "key_epoch": 1,
        "is_deleted": False,
        "received_at": 1_800_000_000,
        "encrypted_data": "AAECAwQFBgc=",
    }
    return line("item", collection="entries", id=item_id, seq=seq, versions=[version])


def whole(*items: str, more: str = "") -> list[str]:
    """The lines of a sound export with these items; `more` stands before the position."""
    header = line(
        "header", format="echolia-export/1", user_id=USER, exported_at=1_800_000_000, note="☂"
    )
    account = line("account", state="active", created_at=1_700_000_000, look_at=None)
    sections = [
        account,
        line("section", name="account", count=1, sha256=digest(account)),
        *items,
        line("section", name="item", count=len(items), sha256=digest(*items)),
    ]
    position = line("position", seq=3, cursor="opaque")
    before = [header, *sections, *([more] if more else []), position]
    counts = {"account": 1, "item": len(items)}
    return [*before, line("end", lines=len(before), counts=counts, sha256=digest(*before))]


def cases() -> list[dict[str, Any]]:
    one, two = item("11111111-1111-4111-8111-111111111111", 1, 1), item(
        "22222222-2222-4222-8222-222222222222", 2, 1
    )
    again = item("11111111-1111-4111-8111-111111111111", 3, 2)
    sound = whole(one, two, again)
    text = "".join(sound)
    return [
        case("two items, of which one changed meanwhile: its last line counts", text),
        case("an account without items", "".join(whole())),
        case("without its end", "".join(sound[:-1]), "cut off"),
        case("without the last line feed", text[:-1], "cut off"),
        case("cut off within a line", text[: len(text) // 2], "cut off"),
        case("empty", "", "cut off"),
        case("an item is missing", text.replace(two, ""), "sums"),
        case("an item stands twice", text.replace(two, two + two), "sums"),
        case("two items have changed places", text.replace(one + two, two + one), "sums"),
        case(
            "a byte of an item is another", text.replace("AAECAwQFBgc=", "AAECAwQFBgg=", 1), "sums"
        ),
        case("a byte of the header is another", text.replace("☂", "☁"), "sums"),
        case("another cursor", text.replace("opaque", "opaquE"), "sums"),
        case("something behind the end", text + one, "goes on behind its end"),
        case("a second header", sound[0] + text, "a header that is not first"),
        case("no header", "".join(sound[1:]), "does not begin with its header"),
        case("lines ended by CR and LF", text.replace("\n", "\r\n"), "sums"),
    ]


def case(name: str, text: str, why: str | None = None) -> dict[str, Any]:
    made = {"name": name, "valid": why is None, "text": text}
    return made if why is None else {**made, "why": why}


def main() -> None:
    document = {"comment": COMMENT, "cases": cases()}
    VECTORS.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", "utf-8")


if __name__ == "__main__":
    main()
