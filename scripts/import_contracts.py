"""Two import contracts that know what a feature is, for features not yet written as well.

A feature is a package directly below the root package, such as `app.sync`, unless it is named in
`not_features`. A room is the first component below it that is, or ends in, the name of one:
`app.sync.store.rows` and `app.sync.page_store` are in the room `store`. All other modules are in
the room `*`.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, fields, output

RULES = "*"


@dataclass(frozen=True)
class Import:
    """One module importing another, both by their full names."""

    importer: str
    imported: str


@dataclass(frozen=True)
class House:
    """Where features are, so that any module can be told its feature and its path in it."""

    root: str
    features: frozenset[str]

    def place(self, module: str) -> tuple[str, list[str]] | None:
        """Return the feature of a module and its path below, or None outside all features."""
        feature, *path = module.removeprefix(f"{self.root}.").split(".")
        if module == self.root or feature not in self.features:
            return None
        return feature, path


@dataclass(frozen=True)
class Level:
    """A step of the order: its rooms, and whether those may import each other."""

    height: int
    rooms: frozenset[str]
    is_shared: bool


def levels_of(layers: Sequence[str]) -> list[Level]:
    """Read layers, highest first; `|` between rooms parts them, `:` lets them share."""
    return [
        Level(-at, frozenset(room.strip() for room in re.split("[|:]", layer)), ":" in layer)
        for at, layer in enumerate(layers)
    ]


def wrong_ways(house: House, levels: Sequence[Level], imports: Iterable[Import]) -> list[str]:
    """Return a sentence for each import within one feature that does not lead down."""
    level_of = {room: level for level in levels for room in level.rooms}
    sentences = []
    for each in imports:
        importer, imported = house.place(each.importer), house.place(each.imported)
        if importer is None or imported is None or importer[0] != imported[0]:
            continue
        here, there = room_of(importer[1], level_of), room_of(imported[1], level_of)
        if not _leads_down(here, there, level_of):
            sentences.append(
                f"{each.importer} ({_said(here)}) may not import {each.imported} ({_said(there)})."
            )
    return sentences


def _leads_down(here: str, there: str, level_of: Mapping[str, Level]) -> bool:
    above, below = level_of[here], level_of[there]
    if above == below:
        return here == there or above.is_shared
    return above.height > below.height


def room_of(path: Sequence[str], rooms: Collection[str]) -> str:
    """Return the first room that a component of the path is, or ends in; else the rules'."""
    ends = (part.rpartition("_")[2] for part in path)
    return next((end for end in ends if end in rooms), RULES)


def missed_doors(
    house: House,
    doors: Collection[str],
    wiring: Collection[str],
    closed_to_wiring: Collection[str],
    imports: Iterable[Import],
) -> list[str]:
    """Return a sentence for each import that enters a feature from outside by no door of it.

    The modules named in `wiring` put everything together: only `closed_to_wiring` is shut to them.
    """
    wired = {f"{house.root}.{module}" for module in wiring}
    sentences = []
    for each in imports:
        importer, imported = house.place(each.importer), house.place(each.imported)
        if imported is None or (importer and importer[0] == imported[0]):
            continue
        feature, path = imported
        if each.importer in wired:
            is_open = room_of(path, closed_to_wiring) == RULES
        else:
            is_open = room_of(path[:1], doors) != RULES
        if not is_open:
            sentences.append(f"{each.importer} may not import {each.imported} of {feature}.")
    return sentences


class Rooms(Contract):
    """Within every feature, imports run from the first of `layers` to the last, never back."""

    type_name = "rooms"

    root = fields.StringField()
    not_features = fields.ListField(subfield=fields.StringField(), required=False, default=[])
    layers = fields.ListField(subfield=fields.StringField())

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:
        """Return the contract's state: broken by any import that climbs."""
        house = _house(graph, str(self.root), _strings(self.not_features))
        return _verdict(wrong_ways(house, levels_of(_strings(self.layers)), _imports(graph)))

    def render_broken_contract(self, check: ContractCheck) -> None:
        """Print each sentence that `check` found."""
        _print(check)


class FeatureDoors(Contract):
    """From outside a feature only its `doors` are imported, by name."""

    type_name = "feature_doors"

    root = fields.StringField()
    not_features = fields.ListField(subfield=fields.StringField(), required=False, default=[])
    doors = fields.ListField(subfield=fields.StringField())
    wiring = fields.ListField(subfield=fields.StringField(), required=False, default=[])
    closed_to_wiring = fields.ListField(subfield=fields.StringField(), required=False, default=[])

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:
        """Return the contract's state: broken by any import that comes in by no door."""
        house = _house(graph, str(self.root), _strings(self.not_features))
        return _verdict(
            missed_doors(
                house,
                _strings(self.doors),
                _strings(self.wiring),
                _strings(self.closed_to_wiring),
                _imports(graph),
            )
        )

    def render_broken_contract(self, check: ContractCheck) -> None:
        """Print each sentence that `check` found."""
        _print(check)


def _house(graph: ImportGraph, root: str, not_features: Collection[str]) -> House:
    packages = {child for child in graph.find_children(root) if graph.find_children(child)}
    names = {package.rpartition(".")[2] for package in packages}
    return House(root, frozenset(names - set(not_features)))


def _imports(graph: ImportGraph) -> list[Import]:
    return [
        Import(importer, imported)
        for importer in sorted(graph.modules)
        for imported in sorted(graph.find_modules_directly_imported_by(importer))
    ]


def _said(room: str) -> str:
    return "a pure rule" if room == RULES else f"its {room}"


def _strings(field: object) -> list[str]:
    if not isinstance(field, list):
        raise TypeError("this field must be a list of names")
    return [str(each) for each in field]


def _verdict(sentences: list[str]) -> ContractCheck:
    return ContractCheck(kept=not sentences, metadata={"sentences": sentences})


def _print(check: ContractCheck) -> None:
    for sentence in check.metadata["sentences"]:
        output.print_error(sentence, bold=False)
