"""Relative links in Markdown pages."""

from pathlib import Path

import pytest

from scripts.doc_links import broken_links

TARGET = """# One, two & *three*

## `code`

## Same

## Same
"""


def links_of(root: Path, text: str) -> list[str]:
    """Say what is wrong with a page of this text beside `other.md` and `folder/`."""
    page = root / "docs" / "page.md"
    (root / "docs" / "folder").mkdir(parents=True)
    (root / "docs" / "other.md").write_text(TARGET)
    page.write_text(text)
    return broken_links(root, [page])


@pytest.mark.parametrize(
    "link",
    [
        "other.md",
        "folder",
        "./folder/../other.md",
        "other.md#one-two--three",
        "other.md#code",
        "other.md#same",
        "other.md#same-1",
        "#here",
        "https://example.org/none.md",
        "mailto:nobody@example.org",
    ],
)
def test_a_link_that_leads_somewhere_is_not_told(tmp_path: Path, link: str) -> None:
    """Files, folders, headings and whole addresses are right."""
    assert links_of(tmp_path, f"# Here\n\n- See *[this]({link})*.\n") == []


@pytest.mark.parametrize(
    "text",
    [
        "[x](none.md)",
        "![x](none.png)",
        "[x](other.md#same-2)",
        "[x](#nowhere)",
        "[x][ref]\n\n[ref]: none.md",
        "| a |\n| --- |\n| [x](none.md) |",
    ],
)
def test_a_link_that_leads_nowhere_is_told(tmp_path: Path, text: str) -> None:
    """A missing file or heading is one sentence that names the page."""
    (sentence,) = links_of(tmp_path, text)
    assert sentence.startswith("docs/page.md links to ")


def test_code_is_not_a_link(tmp_path: Path) -> None:
    """What only looks like a link, in a code block, is left alone."""
    assert links_of(tmp_path, "`[x](none.md)`\n\n```\n[x](none.md)\n```\n") == []
