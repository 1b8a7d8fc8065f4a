"""The tables of the docs, taken from code made up here."""

import importlib.util
from pathlib import Path
from types import ModuleType

from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings

from scripts.doc_tables import (
    BEGIN,
    Table,
    differences,
    errors_of,
    events_of,
    example_of,
    rows_in,
    settings_of,
    variables_in,
    with_table,
)


class Some(BaseSettings):
    """Settings of every kind that the server has."""

    debug: bool = Field(False, description="Says more.")
    origins: tuple[str, ...] = Field((), description="Who may call, `a` | `b`.")
    kinds: tuple[str, ...] = Field(("x", "y"), description="Which kinds.")
    root: SecretStr = Field(SecretStr("do not print"), description="Root of keys.")
    size_bytes: int = 7


class Root(Exception):
    """The tree's root."""

    code = "root"
    status = 500
    title = "Wrong."


class Missing(Root):
    """Not there."""

    code = "missing"
    status = 404
    title = "Not there."


class Nameless(Root):
    """A leaf that forgot its code."""


class Another(Root):
    """A second use of one code, for something else."""

    code = "missing"
    status = 410


def module_of(path: Path, source: str) -> ModuleType:
    """Import a module with the given source."""
    path.write_text(source)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_settings_tell_defaults_as_the_environment_writes_them() -> None:
    """Each field is a row in upper case, with the default as one would type it, and no secret."""
    table, faults = settings_of(Some)
    assert table.rows == {
        "DEBUG": ("`false`", "Says more."),
        "ORIGINS": ("empty", "Who may call, `a` | `b`."),
        "KINDS": ("`x,y`", "Which kinds."),
        "ROOT": ("empty", "Root of keys."),
        "SIZE_BYTES": ("`7`", ""),
    }
    assert faults == ["app.config: SIZE_BYTES has no description."]


def test_errors_tell_each_code_once_and_what_is_wrong_with_the_tree() -> None:
    """A leaf needs a code of its own, and one code has one meaning."""
    table, faults = errors_of(Root, __name__)
    assert table.rows == {"missing": ("404", "Not there.")}
    assert faults == [
        f"{__name__}.Nameless has no code of its own.",
        f"{__name__}.Another gives missing a second meaning.",
    ]


def test_errors_of_other_packages_are_left_out() -> None:
    """Only classes of the package asked for are in the table."""
    assert errors_of(Root, "app")[0].rows == {}


def test_events_are_the_public_functions_that_log(tmp_path: Path) -> None:
    """Helpers are no events; an event's fields are keywords, its name its own, its docs there."""
    source = '''
_log = None
def start(level): pass
def _hidden(*, x): _log.info("_hidden", x=x)
def taken(*, size: int, kind: str):
    """Something
    was taken."""
    _log.info("taken", size=size, kind=kind)
def given(size): _log.debug("take", size=size)
'''
    table, faults = events_of(module_of(tmp_path / "happenings.py", source))
    assert table.rows == {
        "taken": ("info", "`size`, `kind`", "Something was taken."),
        "given": ("debug", "`size`", ""),
    }
    assert faults == [
        "happenings.given must take its fields by keyword only.",
        "happenings.given has no docstring.",
        "happenings.given logs under the name take.",
    ]


def test_each_difference_has_its_sentence() -> None:
    """Missing, left over and told otherwise are three different sentences."""
    code, page = {"a": "1", "b": "2"}, {"b": "3", "c": "4"}
    assert differences("page.md", code, page) == [
        "page.md lacks a.",
        "page.md has c, which the code has not.",
        "page.md tells b otherwise than the code.",
    ]


NAMES = st.text("ABCXYZ_", min_size=1).filter(lambda name: name[0] != "_")
CELLS = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")))
PAGES = st.text().filter(lambda page: BEGIN not in page)


@given(rows=st.dictionaries(NAMES, st.tuples(CELLS, CELLS)), page=PAGES)
def test_a_written_table_is_read_back_without_a_difference(
    rows: dict[str, tuple[str, str]], page: str
) -> None:
    """Whatever is in the cells and on the page, writing leaves nothing to complain about."""
    table = Table("docs/page.md", "Page", ("name", "one", "two"), rows)
    written = with_table(page, table)
    assert differences("page", table.lines(), rows_in(written)) == []
    assert with_table(written, table) == written


def test_a_written_table_leaves_the_words_around_it() -> None:
    """Only what stands between the markers changes."""
    old, new = (Table("p", "Page", ("name",), {name: ()}) for name in ("old", "new"))
    page = f"# Mine\n\nBefore.\n\n{old.text()}\n\nAfter, `old`.\n"
    assert with_table(page, new) == page.replace("| `old` |", "| `new` |")


def test_the_example_has_each_setting_commented_out() -> None:
    """Copying the example to `.env` changes nothing."""
    example = example_of(settings_of(Some)[0])
    assert list(variables_in(example)) == ["DEBUG", "ORIGINS", "KINDS", "ROOT", "SIZE_BYTES"]
    assert all(line.startswith("#") for line in example.splitlines() if line)
    assert "do not print" not in example
