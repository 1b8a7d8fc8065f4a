"""What must hold, told without clocks: who wrote what after having seen what.

Whoever wrote a version had seen some versions, and through them all that their writers had seen.
What nobody has seen before writing on has to stand at the end, and nothing else may.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256

Key = tuple[str, str]
"""Collection and id."""
Digest = bytes


@dataclass(frozen=True, slots=True)
class Written:
    """A version as it came into being: by whom, and everything that its writer had seen."""

    key: Key
    author: str
    is_deleted: bool
    past: frozenset[Digest]


class Truth:
    """Everything ever written, and what each device has seen of it."""

    def __init__(self) -> None:
        self.written: dict[Digest, Written] = {}
        self._seen: defaultdict[tuple[str, Key], set[Digest]] = defaultdict(set)
        self._added: defaultdict[Key, set[str]] = defaultdict(set)
        self._removed: defaultdict[Key, set[str]] = defaultdict(set)

    def see(self, device: str, key: Key, author: str, is_deleted: bool, envelope: bytes) -> None:
        """A version is in sight of a device, for good. The first that has one in sight made it."""
        digest = sha256(envelope).digest()
        seen = self._seen[device, key]
        if digest not in self.written:
            assert author == device, "a version that nobody wrote"
            self.written[digest] = Written(key, author, is_deleted, frozenset(seen))
        seen.add(digest)
        seen |= self.written[digest].past

    def add_word(self, key: Key, word: str) -> None:
        """The word is in a version that is on a disk."""
        self._added[key].add(word)

    def remove_words(self, key: Key, words: Iterable[str]) -> None:
        """Somebody who saw these words left them out, or tried to."""
        self._removed[key] |= set(words)

    def newest(self) -> dict[Key, set[Digest]]:
        """Of each item, the versions that no writer of another had seen."""
        found: defaultdict[Key, set[Digest]] = defaultdict(set)
        for digest, version in self.written.items():
            found[version.key].add(digest)
        for version in self.written.values():
            found[version.key] -= version.past
        return dict(found)

    def promised(self, key: Key) -> set[str]:
        """The words that nobody has taken out."""
        return self._added[key] - self._removed[key]

    def is_dead(self, digests: Iterable[Digest]) -> bool:
        return all(self.written[each].is_deleted for each in digests)
