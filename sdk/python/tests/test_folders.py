"""Markdown in and out."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from echolia import Client
from echolia._folders import export_folder, import_folder
from echolia._keyring import Keyring, KeyringFile
from echolia._markdown import read_document, split_front_matter, write_document

from .conftest import Desks

DIARY = Path(__file__).parents[3] / "demo" / "diary"
MTIME = datetime(2020, 5, 17, 12, tzinfo=UTC).timestamp()


@pytest.fixture
def client(tmp_path: Path, keyring: Keyring) -> Iterator[Client]:
    home = tmp_path / "home"
    home.mkdir()
    KeyringFile.create(home / "keyring.json", keyring, "")
    with Client.open(home) as client:
        yield client


@given(data=st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_file_is_read_and_any_utf8_file_comes_back_whole(data: bytes) -> None:
    document = read_document(data, "notes.md", MTIME)
    back = write_document(document.front_matter, document.text)
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return
    if not data.startswith((b"\xff\xfe", b"\xfe\xff")):
        assert back == data


@given(head=st.text(alphabet="-+.ab: \r\n", max_size=30))
def test_front_matter_is_cut_off_without_losing_a_character(head: str) -> None:
    front, text = split_front_matter(head)
    assert front + text == head


@pytest.mark.parametrize(
    ("name", "text", "title", "day"),
    [
        ("a.md", "---\ntitle: Sea\ndate: 2024-03-01\n---\nText", "Sea", "2024-03-01"),
        ("a.md", "---\r\ntitle: 'Sea'\r\ndate: 2024-03-01\r\n---\r\nText", "Sea", "2024-03-01"),
        ("a.md", "\ufeff---\ndate: 1 March 2024\n---\nText", None, "2024-03-01"),
        ("a.md", '+++\ntitle = "Sea"\ndate = 2024-03-01\n+++\nText', "Sea", "2024-03-01"),
        ("a.md", "---\ncreated: 2024-03-01T23:30:00\n---\n", None, "2024-03-01"),
        ("2024-03-01 Sea.md", "Text", None, "2024-03-01"),
        ("20240301.md", "# Sea\nText", None, "2024-03-01"),
        ("2024-99-01.md", "Text", None, "2020-05-17"),
        ("a.md", "---\ndate: some day\n---\nText", None, "2020-05-17"),
        ("a.md", "---\nnever closed", None, "2020-05-17"),
    ],
)
def test_title_and_day_are_found_where_people_put_them(
    name: str, text: str, title: str | None, day: str
) -> None:
    document = read_document(text.encode(), name, MTIME)
    assert (document.title, document.day) == (title, date.fromisoformat(day))


def write(folder: Path, **files: str) -> None:
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / f"{name}.md").write_bytes(text.encode())


def texts(client: Client) -> list[str]:
    return sorted(entry.text for entry in client.entries.list())


def test_importing_twice_makes_no_doubles(client: Client, tmp_path: Path) -> None:
    write(tmp_path / "diary", a="one", b="two", c="two")
    assert import_folder(client, tmp_path / "diary").added == 3
    report = import_folder(client, tmp_path / "diary")
    assert (report.added, report.unchanged, texts(client)) == (0, 3, ["one", "two", "two"])


def test_a_moved_folder_makes_no_doubles(client: Client, tmp_path: Path) -> None:
    write(tmp_path / "diary", a="one", b="two")
    import_folder(client, tmp_path / "diary")
    (tmp_path / "diary" / "a.md").rename(tmp_path / "diary" / "z.md")
    (tmp_path / "diary").rename(tmp_path / "journal")
    assert import_folder(client, tmp_path / "journal").unchanged == 2


def test_a_changed_file_updates_its_entry(client: Client, tmp_path: Path) -> None:
    write(tmp_path / "diary", a="one")
    import_folder(client, tmp_path / "diary")
    write(tmp_path / "diary", a="one, and more")
    assert import_folder(client, tmp_path / "diary").updated == 1
    assert texts(client) == ["one, and more"]


def test_a_file_and_its_entry_both_changed_are_both_kept(client: Client, tmp_path: Path) -> None:
    write(tmp_path / "diary", a="one")
    import_folder(client, tmp_path / "diary")
    client.entries.edit(client.entries.list()[0], "one, edited here")
    write(tmp_path / "diary", a="one, edited there")
    assert import_folder(client, tmp_path / "diary").kept_both == 1
    assert import_folder(client, tmp_path / "diary").unchanged == 1
    assert texts(client) == ["one, edited here", "one, edited there"]


def test_two_diaries_with_like_names_do_not_mix(client: Client, tmp_path: Path) -> None:
    write(tmp_path / "mine", day="mine")
    write(tmp_path / "hers", day="hers")
    import_folder(client, tmp_path / "mine")
    import_folder(client, tmp_path / "hers")
    assert texts(client) == ["hers", "mine"]


def test_what_was_deleted_stays_deleted(client: Client, tmp_path: Path) -> None:
    write(tmp_path / "diary", a="one")
    import_folder(client, tmp_path / "diary")
    client.entries.delete(client.entries.list()[0].id)
    assert import_folder(client, tmp_path / "diary").deleted_before == 1
    assert texts(client) == []


def test_what_is_no_text_is_skipped_with_a_reason(client: Client, tmp_path: Path) -> None:
    write(tmp_path / "diary", a="one", empty="", noise="a\0b")
    (tmp_path / "diary" / ".hidden").mkdir()
    (tmp_path / "diary" / ".hidden" / "b.md").write_text("hidden")
    (tmp_path / "diary" / "picture.png").write_bytes(b"\x89PNG")
    report = import_folder(client, tmp_path / "diary")
    assert report.added == 1
    assert sorted(report.skipped) == [("empty.md", "empty"), ("noise.md", "not text")]


@pytest.mark.skipif(not DIARY.exists(), reason="only beside the sample diary")
def test_the_sample_diary_goes_in_and_comes_out_to_the_byte(client: Client, tmp_path: Path) -> None:
    files = {
        path.relative_to(DIARY): path.read_bytes()
        for path in DIARY.rglob("*.md")
        if path.read_bytes().strip()
    }
    assert import_folder(client, DIARY).added == len(files)
    report = export_folder(client, tmp_path / "out")
    assert report.written == len(files)
    out = {
        path.relative_to(tmp_path / "out"): path.read_bytes()
        for path in (tmp_path / "out").rglob("*.md")
    }
    assert out == files


def test_written_entries_export_with_their_exact_text(client: Client, tmp_path: Path) -> None:
    odd = "# Title\r\n\n---\ntext\u2028with \x0c odd breaks  \n\n\n"
    client.entries.add(odd)
    export_folder(client, tmp_path / "out")
    (file,) = (tmp_path / "out").rglob("*.md")
    head, text = split_front_matter(file.read_bytes().decode())
    assert text == odd
    assert head.startswith("---\nid: ")


def test_exporting_again_touches_nothing_and_follows_a_new_title(
    client: Client, tmp_path: Path
) -> None:
    entry = client.entries.add("# Old title")
    export_folder(client, tmp_path / "out")
    assert export_folder(client, tmp_path / "out").unchanged == 1
    client.entries.edit(entry, "# New title")
    export_folder(client, tmp_path / "out")
    (file,) = (tmp_path / "out").rglob("*.md")
    assert "new-title" in file.name


def test_a_strangers_file_is_never_written_over(client: Client, tmp_path: Path) -> None:
    write(tmp_path / "diary", a="from the diary")
    import_folder(client, tmp_path / "diary")
    write(tmp_path / "out", a="somebody else's")
    export_folder(client, tmp_path / "out")
    contents = sorted(path.read_text() for path in (tmp_path / "out").rglob("*.md"))
    assert contents == ["from the diary", "somebody else's"]


@pytest.mark.parametrize("path", ["../up.md", "/etc/x.md", "a/../../b.md", "..", "", "a\\..\\b.md"])
def test_no_stored_path_leads_out_of_the_folder(client: Client, tmp_path: Path, path: str) -> None:
    client.entries.add("text", source={"path": path, "place": "", "digest": ""})
    export_folder(client, tmp_path / "out")
    assert len(list((tmp_path / "out").rglob("*.md"))) == 1


def test_the_day_survives_an_export_and_import(client: Client, tmp_path: Path) -> None:
    write(tmp_path / "diary", undated="no date anywhere")
    os.utime(tmp_path / "diary" / "undated.md", (MTIME, MTIME))
    import_folder(client, tmp_path / "diary")
    export_folder(client, tmp_path / "out")
    document_time = (tmp_path / "out" / "undated.md").stat().st_mtime
    assert document_time == MTIME


@pytest.mark.parametrize(
    "path",
    [
        ".profile",
        ".config/autostart/x.md",
        "sub/.hidden.md",
        "Makefile",
        "x.sh",
        "../out.md",
        "/etc/x.md",
        "a\x1b[2J.md",
        "a\\..\\x.md",
        "c:x.md",
        "x" * 300 + ".md",
        "a/" * 600 + "x.md",
        "",
        ".",
    ],
)
def test_a_path_no_import_could_have_found_is_not_written(
    client: Client, tmp_path: Path, path: str
) -> None:
    """Another device names the paths; none may reach what some program reads by itself."""
    client.entries.add("text", source={"path": path})
    out = tmp_path / "out" / "deep"
    export_folder(client, out)
    (file,) = (found for found in (tmp_path / "out").rglob("*") if found.is_file())
    assert file.is_relative_to(out)
    assert file.suffix == ".md"
    assert file.name.startswith("20")


def test_paths_in_each_others_way_are_all_written(client: Client, tmp_path: Path) -> None:
    for text, path in (("one", "a.md"), ("two", "a.md/b.md"), ("three", "a.md")):
        client.entries.add(text, source={"path": path})
    (tmp_path / "out" / "b.md").mkdir(parents=True)
    client.entries.add("four", source={"path": "b.md"})
    assert export_folder(client, tmp_path / "out").written == 4
    files = [found for found in (tmp_path / "out").rglob("*.md") if found.is_file()]
    assert sorted(file.read_text("utf-8") for file in files) == ["four", "one", "three", "two"]


def test_what_is_written_out_is_for_its_owner_alone(client: Client, tmp_path: Path) -> None:
    client.entries.add("private")
    export_folder(client, tmp_path / "out")
    for path in (tmp_path / "out", *(tmp_path / "out").rglob("*")):
        assert path.stat().st_mode & 0o077 == 0


def test_a_folder_that_was_there_keeps_its_mode(client: Client, tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir(mode=0o755)
    export_folder(client, shared)
    assert shared.stat().st_mode & 0o777 == 0o755


def test_an_entry_with_an_absurd_time_is_written_out(client: Client, tmp_path: Path) -> None:
    client.entries.add("text", created_at=10**15, day=date(2024, 3, 1))
    assert export_folder(client, tmp_path / "out").written == 1


def test_reading_back_what_was_written_out_makes_no_doubles(client: Client, tmp_path: Path) -> None:
    client.entries.add("written here")
    client.entries.add("and this", title="With a title")
    export_folder(client, tmp_path / "out")
    report = import_folder(client, tmp_path / "out")
    assert (report.unchanged, len(texts(client))) == (2, 2)


def test_a_link_out_of_the_folder_is_not_read(client: Client, tmp_path: Path) -> None:
    write(tmp_path / "diary", a="mine")
    (tmp_path / "secret.md").write_text("not mine")
    (tmp_path / "diary" / "b.md").symlink_to(tmp_path / "secret.md")
    assert import_folder(client, tmp_path / "diary").added == 1
    assert texts(client) == ["mine"]


def test_one_folder_read_by_two_devices_is_no_conflict(desks: Desks) -> None:
    ana, ben = desks.add(), desks.add()
    item_id = ana.vault.derived_id(b"import", b"digest:0")
    for at, desk in enumerate((ana, ben)):
        desk.merge_wait = (0, 0)
        desk.entries.add("one text", source={"place": str(at)}, item_id=item_id, created_at=at)
    desks.settle()
    pushed = len(desks.server.log)
    desks.settle()
    assert ana.texts() == ben.texts() == ["one text"]
    assert not ana.entries.get(item_id).in_conflict
    assert pushed == len(desks.server.log) == 2
