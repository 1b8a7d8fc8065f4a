"""The relative links of Markdown pages, and whether what they name is there."""

import re
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from urllib.parse import unquote, urlsplit

from markdown_it import MarkdownIt


def broken_links(root: Path, pages: Iterable[Path]) -> list[str]:
    """Return a sentence for each relative link to a file or heading that does not exist."""
    return [
        f"{page.relative_to(root)} links to {link}, which is not there."
        for page in pages
        for link in _links(page.read_text())
        if not _resolves(page, link)
    ]


def _links(text: str) -> list[str]:
    tokens = (child for block in MarkdownIt().parse(text) for child in block.children or [])
    found = (token.attrGet("href") or token.attrGet("src") for token in tokens)
    return [str(link) for link in found if link]


def _resolves(page: Path, link: str) -> bool:
    url = urlsplit(link)
    if url.scheme or url.netloc:
        return True
    target = (page.parent / unquote(url.path)) if url.path else page
    if not target.exists():
        return False
    return target.suffix != ".md" or not url.fragment or url.fragment in _anchors(target)


def _anchors(page: Path) -> set[str]:
    """Return the anchors that a forge makes of the headings, as GitHub's documentation has it."""
    tokens = MarkdownIt().parse(page.read_text())
    anchors: dict[str, int] = {}
    found = set()
    for opening, inline in pairwise(tokens):
        if opening.type != "heading_open":
            continue
        words = "".join(child.content for child in inline.children or [])
        slug = re.sub(r"[^\w\- ]", "", words.strip().lower()).replace(" ", "-")
        seen = anchors[slug] = anchors.get(slug, -1) + 1
        found.add(f"{slug}-{seen}" if seen else slug)
    return found
