"""The sums of an export, by which a reader knows that it has all of it. Pure."""

import hashlib
from collections.abc import Iterable

import orjson

FORMAT = "echolia-export/1"


class Tally:
    """Counts lines and digests them: all of them, and each section for itself."""

    def __init__(self) -> None:
        self.lines = 0
        self.counts: dict[str, int] = {}
        self._all = hashlib.sha256()
        self._section = hashlib.sha256()
        self._in_section = 0

    def line(self, **members: object) -> bytes:
        """A line beside the sections, added."""
        text = orjson.dumps(members) + b"\n"
        self._all.update(text)
        self.lines += 1
        return text

    def rows(self, lines: Iterable[bytes]) -> bytes:
        """Lines of the present section, added and joined."""
        held = list(lines)
        text = b"".join(held)
        self._all.update(text)
        self._section.update(text)
        self.lines += len(held)
        self._in_section += len(held)
        return text

    def close_section(self, name: str) -> bytes:
        """The line that ends a section."""
        count, digest = self._in_section, self._section.hexdigest()
        self.counts[name] = count
        self._section, self._in_section = hashlib.sha256(), 0
        return self.line(type="section", name=name, count=count, sha256=digest)

    def end(self) -> bytes:
        """The last line; without it, an export is not whole. It holds nothing but sums, so that
        they cover all there is to say."""
        digest = self._all.hexdigest()
        members = {"type": "end", "lines": self.lines, "counts": self.counts, "sha256": digest}
        return orjson.dumps(members) + b"\n"
