"""Markdown files to documents and back, to the byte.

What stands above the text (a byte-order mark, front matter) is kept verbatim beside it, so
that `front_matter + text` is the file again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time

_OPENINGS = {"---": ("---", "..."), "+++": ("+++",)}
_FIELD = re.compile(r"([A-Za-z_][\w-]*)[ \t]*[:=][ \t]*(.*)")
_DATE_FIELDS = ("created", "created_at", "date", "day")
_DATE_IN_NAME = re.compile(r"(?<!\d)(\d{4})[-_. ]?(\d{2})[-_. ]?(\d{2})(?!\d)")
_DATE_FORMS = ("%Y/%m/%d", "%d.%m.%Y", "%d/%m/%Y", "%B %d, %Y", "%d %B %Y", "%b %d, %Y", "%d %b %Y")
_EXPORTED = re.compile(r"---\nid: ([0-9a-f-]{36})\ncreated: [^\n]+\n(?:title: [^\n]*\n)?---\n\Z")
_BOM = "\ufeff"


@dataclass(frozen=True, slots=True)
class Document:
    """One Markdown file. `moment` in Unix seconds, at noon where only the day is known."""

    front_matter: str
    text: str
    title: str | None
    day: date
    moment: int


def read_document(data: bytes, name: str, modified_at: float) -> Document:
    """Never fails: whatever the bytes are, their text is kept."""
    front_matter, text = split_front_matter(decode_text(data))
    fields = _fields(front_matter)
    when = _when_by_fields(fields) or _when_by_name(name) or _local(modified_at)
    return Document(
        front_matter=front_matter,
        text=text,
        title=fields.get("title") or None,
        day=when.date(),
        moment=int(when.timestamp()),
    )


def decode_text(data: bytes) -> str:
    """UTF-8, or what a byte-order mark says, or Latin-1, in which every byte is a letter."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", "replace")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace") if _is_cp1252(data) else data.decode("latin-1")


def _is_cp1252(data: bytes) -> bool:
    return not any(byte in (0x81, 0x8D, 0x8F, 0x90, 0x9D) for byte in data)


def split_front_matter(whole: str) -> tuple[str, str]:
    """The head up to and with its closing line, and the text below it."""
    mark = _BOM if whole.startswith(_BOM) else ""
    lines = list(_lines(whole[len(mark) :]))
    closings = _OPENINGS.get(lines[0].rstrip(), ()) if lines else ()
    for at, line in enumerate(lines[1:], start=1):
        if line.rstrip() in closings:
            head = mark + "".join(lines[: at + 1])
            return head, whole[len(head) :]
    return mark, whole[len(mark) :]


def _lines(text: str) -> Iterator[str]:
    # str.splitlines would also split at form feeds and the like, which are text here.
    return iter(re.findall(r"[^\n]*\n|[^\n]+", text))


def _fields(front_matter: str) -> dict[str, str]:
    """The plain `name: value` lines; nested YAML stays what it is: kept, not understood."""
    found: dict[str, str] = {}
    for line in _lines(front_matter):
        match = _FIELD.match(line.rstrip())
        if match:
            found.setdefault(match[1].lower(), match[2].strip().strip("\"'").strip())
    return found


def _when_by_fields(fields: dict[str, str]) -> datetime | None:
    found = (_parse_date(fields[name]) for name in _DATE_FIELDS if fields.get(name))
    return next((when for when in found if when), None)


def _when_by_name(name: str) -> datetime | None:
    for match in _DATE_IN_NAME.finditer(name):
        try:
            return _noon(date(int(match[1]), int(match[2]), int(match[3])))
        except ValueError:
            continue
    return None


def _parse_date(text: str) -> datetime | None:
    try:
        if len(text) <= 10:
            return _noon(date.fromisoformat(text))
        return _in_range(datetime.fromisoformat(text))
    except ValueError:
        pass
    for form in _DATE_FORMS:
        try:
            return _noon(datetime.strptime(text, form).date())  # noqa: DTZ007 - a bare date
        except ValueError:
            continue
    return _when_by_name(text)


def _local(moment: float) -> datetime:
    return datetime.fromtimestamp(moment)  # noqa: DTZ006 - a diary's days are its writer's


def _noon(day: date) -> datetime:
    return _in_range(datetime.combine(day, time(12)))


def _in_range(when: datetime) -> datetime:
    try:
        when.timestamp()
    except (OverflowError, OSError):
        raise ValueError("out of range") from None
    return when


def write_document(front_matter: str, text: str) -> bytes:
    return (front_matter + text).encode()


def new_front_matter(item_id: str, created_at: int, title: str | None) -> str:
    """A head for an entry that never had one, so that a later import knows its date."""
    moment = datetime.fromtimestamp(created_at).astimezone().isoformat()
    name = "" if not title else f"title: {' '.join(title.split())}\n"
    return f"---\nid: {item_id}\ncreated: {moment}\n{name}---\n"


def exported_id(front_matter: str) -> str | None:
    """The id in a head that `new_front_matter` made; None for any other."""
    match = _EXPORTED.match(front_matter)
    return match and match[1]


def slug(title: str) -> str:
    """A file name's worth of a title, in any script."""
    words = re.sub(r"[^\w]+", "-", title.lower()).strip("-_")
    return words[:40].rstrip("-") or "entry"
