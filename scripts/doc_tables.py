"""The tables that the docs take from the code: settings, errors and events.

Each has a page of rows in `docs/`, between two markers; settings also stand in `.env.example`.
"""

import ast
import inspect
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import FunctionType, ModuleType

from pydantic import SecretBytes, SecretStr
from pydantic_core import PydanticUndefined
from pydantic_settings import BaseSettings

BEGIN = "<!-- written from the code by `make docs` -->"
END = "<!-- end -->"
ENV_HEAD = (
    "# Every setting and its default; docs/settings.md says the same. Copy this file to .env.\n"
)


@dataclass(frozen=True)
class Table:
    """What a page of `docs/` must say: its columns, and one row of cells for each name."""

    page: str
    title: str
    columns: tuple[str, ...]
    rows: Mapping[str, tuple[str, ...]]

    def lines(self) -> dict[str, str]:
        """Return each row by its name, as it stands in the page."""
        return {name: _line((f"`{name}`", *cells)) for name, cells in self.rows.items()}

    def text(self) -> str:
        """Return the whole table between its markers."""
        head = [_line(self.columns), _line(["---"] * len(self.columns))]
        return "\n".join([BEGIN, "", *head, *self.lines().values(), "", END])


def settings_of(settings: type[BaseSettings]) -> tuple[Table, list[str]]:
    """Return the table of a settings class, and a sentence for each field without a meaning."""
    faults, rows = [], {}
    for field, info in settings.model_fields.items():
        name = field.upper()
        if not info.description:
            faults.append(f"app.config: {name} has no description.")
        default = info.get_default(call_default_factory=False)
        rows[name] = (_default(default), info.description or "")
    columns = ("name", "default", "meaning")
    return Table("docs/settings.md", "Settings", columns, rows), faults


def errors_of(root: type[Exception], package: str) -> tuple[Table, list[str]]:
    """Return the table of what a package hangs on an error tree, and a sentence for each fault.

    A leaf needs a code of its own; who has a code has a docstring.
    Classes that stand for one and the same answer may share a code; a code may not mean two things.
    """
    faults = []
    found: dict[str, tuple[int, str]] = {}
    for error in _descendants(root):
        where = f"{error.__module__}.{error.__name__}"
        if not where.startswith(f"{package}."):
            continue
        own = vars(error)
        if "code" not in own:
            if not error.__subclasses__():
                faults.append(f"{where} has no code of its own.")
            continue
        if not own.get("__doc__"):
            faults.append(f"{where} has no docstring.")
        code, meaning = own["code"], (getattr(error, "status", 0), getattr(error, "title", ""))
        if found.setdefault(code, meaning) != meaning:
            faults.append(f"{where} gives {code} a second meaning.")
    ordered = sorted(found.items(), key=lambda each: (each[1][0], each[0]))
    rows = {code: (str(status), str(title)) for code, (status, title) in ordered}
    return Table("docs/errors.md", "Errors", ("code", "status", "sentence"), rows), faults


def events_of(module: ModuleType) -> tuple[Table, list[str]]:
    """Return the table of a module's events, and a sentence for each that breaks their form.

    An event is a public function that calls `_log`; it logs under its own name, takes its fields
    by keyword only, and its docstring says when it happens.
    """
    faults, rows = [], {}
    for function, level, logged in _events(module):
        name, where = function.__name__, f"{module.__name__}.{function.__name__}"
        parameters = inspect.signature(function).parameters.values()
        if any(each.kind is not inspect.Parameter.KEYWORD_ONLY for each in parameters):
            faults.append(f"{where} must take its fields by keyword only.")
        if not inspect.getdoc(function):
            faults.append(f"{where} has no docstring.")
        if logged != name:
            faults.append(f"{where} logs under the name {logged}.")
        fields = ", ".join(f"`{each.name}`" for each in parameters)
        rows[name] = (level, fields, " ".join((inspect.getdoc(function) or "").split()))
    columns = ("event", "level", "fields", "meaning")
    return Table("docs/events.md", "Events", columns, rows), faults


def _descendants(root: type[Exception]) -> list[type[Exception]]:
    below = [each for child in root.__subclasses__() for each in (child, *_descendants(child))]
    return list(dict.fromkeys(below))


def _events(module: ModuleType) -> Iterable[tuple[FunctionType, str, object]]:
    for node in ast.parse(inspect.getsource(module)).body:
        if not isinstance(node, ast.FunctionDef) or node.name.startswith("_"):
            continue
        for each in ast.walk(node):
            match each:
                case ast.Call(
                    func=ast.Attribute(value=ast.Name(id="_log"), attr=level),
                    args=[ast.Constant(value=logged), *_],
                ):
                    yield getattr(module, node.name), level, logged


def _default(value: object) -> str:
    text = _plain(value)
    return f"`{text}`" if text else "empty"


def _plain(value: object) -> str:
    match value:
        case None | SecretStr() | SecretBytes():
            return ""
        case bool():
            return str(value).lower()
        case tuple() | list() | set() | frozenset():
            return ",".join(_plain(each) for each in value)
        case _ if value is PydanticUndefined:
            return ""
    return str(value)


def rows_in(page: str) -> dict[str, str]:
    """Return every row between the markers whose first cell is one name in backticks, by name."""
    section = page.partition(BEGIN)[2].partition(END)[0]
    found = re.findall(r"^(\| `([^`]+)` \|.*)$", section, re.MULTILINE)
    return {name: line.rstrip() for line, name in found}


def variables_in(example: str) -> dict[str, str]:
    """Return the line of every variable in an `.env` file, commented out or not, by its name."""
    found = re.findall(r"^((?:# ?)?([A-Z][A-Z0-9_]*)=.*)$", example, re.MULTILINE)
    return {name: line.rstrip() for line, name in found}


def example_of(table: Table) -> str:
    """Return `.env.example`: each setting commented out, with its default and its meaning above."""
    parts = [ENV_HEAD]
    for name, (_, meaning) in table.rows.items():
        parts.append(f"# {' '.join(meaning.split())}\n{variable_of(table, name)}\n")
    return "\n".join(parts)


def variable_of(table: Table, name: str) -> str:
    """Return the line of one setting in `.env.example`."""
    default = table.rows[name][0]
    return f"# {name}={'' if default == 'empty' else default.strip('`')}"


def differences(where: str, code: Mapping[str, str], page: Mapping[str, str]) -> list[str]:
    """Return a sentence for each name that code and page do not tell in the same words."""
    return [
        *(f"{where} lacks {name}." for name in code if name not in page),
        *(f"{where} has {name}, which the code has not." for name in page if name not in code),
        *(
            f"{where} tells {name} otherwise than the code."
            for name in code
            if name in page and code[name] != page[name]
        ),
    ]


def with_table(page: str, table: Table) -> str:
    """Return the page with the table between its markers, at the end if it has none."""
    page = page or f"# {table.title}\n"
    before, begin, rest = page.partition(BEGIN)
    if not begin:
        return f"{page.rstrip()}\n\n{table.text()}\n"
    _, _, after = rest.partition(END)
    return f"{before}{table.text()}{after}"


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(' '.join(cell.split()).replace('|', chr(92) + '|') for cell in cells)} |"
