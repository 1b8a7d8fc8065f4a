"""The import contracts, each broken on purpose in a house of its own."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.import_contracts import House, Import, levels_of, wrong_ways

ROOT = Path(__file__).parents[2]
KEPT = {
    "__main__.py": "import app.main",
    "main.py": "import fastapi, app.auth.routes, app.sync.hub, app.problems, app.http.bodies",
    "problems.py": "import starlette\nimport app.auth.errors",
    "config.py": "",
    "errors.py": "",
    "events.py": "",
    "http/__init__.py": "",
    "http/bodies.py": "import fastapi\nimport app.errors, app.database.port",
    "database/__init__.py": "",
    "database/port.py": "import app.config",
    "database/embedded.py": "import apsw\nimport app.events",
    "auth/__init__.py": "",
    "auth/routes.py": "import fastapi\nimport app.auth.dependencies",
    "auth/dependencies.py": "import fastapi\nimport app.auth.service, app.http.bodies",
    "auth/service.py": "import app.auth.store, app.auth.challenge, app.database.port",
    "auth/store.py": "import app.auth.models, app.auth.challenge",
    "auth/pairing_store.py": "import app.auth.store",
    "auth/key_errors.py": "import app.auth.errors",
    "auth/challenge.py": "import app.auth.errors, app.auth.models, app.auth.quota",
    "auth/quota.py": "",
    "auth/models.py": "",
    "auth/errors.py": "import app.errors",
    "sync/__init__.py": "",
    "sync/service.py": "import app.auth.dependencies, app.auth.models",
    "sync/hub.py": "",
    "about/__init__.py": "",
    "about/routes.py": "import app.auth.dependencies",
}


LAYERS, ROOMS, DOORS, FRAMEWORK, SQL = (
    "Imports run one way",
    "Within a feature",
    "A feature is entered",
    "Only the HTTP rooms",
    "Only the database package",
)
# What each module does that its contract refuses, and how the contract says so.
BROKEN = [
    (LAYERS, "auth/policy.py", "import app.sync.hub", "app.auth.policy -> app.sync.hub"),
    (
        LAYERS,
        "database/shard.py",
        "import app.http.bodies",
        "app.database.shard -> app.http.bodies",
    ),
    (LAYERS, "sync/page.py", "import app.about.models", "app.sync.page -> app.about.models"),
    (LAYERS, "events.py", "import app.config", "app.events -> app.config"),
    (LAYERS, "journal.py", "", "app.journal"),
    (ROOMS, "auth/service.py", "import app.auth.routes", "app.auth.service (its service) may not"),
    (ROOMS, "auth/challenge.py", "import app.auth.store", "app.auth.challenge (a pure rule) may"),
    (ROOMS, "auth/age.py", "import app.auth.pairing_store", "app.auth.age (a pure rule) may not"),
    (ROOMS, "auth/models.py", "import app.auth.service", "app.auth.models (its models) may not"),
    (ROOMS, "auth/client.py", "import app.auth.store", "app.auth.client (its client) may not"),
    (DOORS, "sync/service.py", "import app.auth.store", "app.sync.service may not import"),
    (DOORS, "sync/wait.py", "from app.auth import quota", "app.sync.wait may not import"),
    (DOORS, "main.py", "import apsw, app.auth.store", "app.main may not import app.auth.store"),
    (DOORS, "__main__.py", "import app.auth.pairing_store", "app.__main__ may not import"),
    (DOORS, "problems.py", "import app.sync", "app.problems may not import app.sync"),
    (FRAMEWORK, "auth/token.py", "from fastapi import Request", "app.auth.token -> fastapi"),
    (FRAMEWORK, "errors.py", "import starlette.status", "app.errors -> starlette"),
    (SQL, "auth/store.py", "import sqlite3", "app.auth.store -> sqlite3"),
    (SQL, "main.py", "import apsw, app.auth.store", "app.main -> apsw"),
]


def lint(house: Path, modules: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run the project's own contracts over an `app` of the given modules."""
    for name, source in modules.items():
        path = house / "app" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source + "\n")
    (house / "app/__init__.py").touch()
    (house / "scripts").mkdir()
    for name in ("pyproject.toml", "scripts/import_contracts.py"):
        shutil.copy(ROOT / name, house / name)
    return subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-logo", "--no-cache"],
        cwd=house,
        env=os.environ | {"COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def complaints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What is said below each contract's name about a house with every fault there is."""
    faults = {module: source for _, module, source, _ in BROKEN}
    result = lint(tmp_path_factory.mktemp("house"), KEPT | {"about/models.py": ""} | faults)
    assert result.returncode == 1
    parts = re.split(r"\n(.+)\n-+\n", result.stdout.partition("Broken contracts")[2])
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_a_house_in_order_keeps_every_contract(tmp_path: Path) -> None:
    """The examples of what is allowed are allowed."""
    result = lint(tmp_path, KEPT)
    assert "5 kept, 0 broken" in result.stdout, result.stdout + result.stderr
    assert result.returncode == 0


@pytest.mark.parametrize(("contract", "module", "source", "complaint"), BROKEN)
def test_each_fault_is_told_by_its_contract(
    complaints: dict[str, str], contract: str, module: str, source: str, complaint: str
) -> None:
    """One forbidden import (or a package without a place) breaks the contract it offends."""
    said = next(text for name, text in complaints.items() if name.startswith(contract))
    assert complaint in said, f"{module}: {source}"


def test_a_house_with_one_module_is_in_order(tmp_path: Path) -> None:
    """What is not written yet breaks nothing."""
    assert lint(tmp_path, {"errors.py": ""}).returncode == 0


def test_rooms_of_one_level_share_or_are_parted() -> None:
    """A colon lets two rooms import each other; a bar does not."""
    house = House("app", frozenset({"auth"}))
    imports = [Import("app.auth.models", "app.auth.age")]
    assert wrong_ways(house, levels_of(["store", "* : models", "errors"]), imports) == []
    assert len(wrong_ways(house, levels_of(["store", "* | models", "errors"]), imports)) == 1
