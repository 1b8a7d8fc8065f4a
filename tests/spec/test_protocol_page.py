"""spec/protocol.md names what the application has, and no number in it is out of date."""

import importlib
import pkgutil
import re
from pathlib import Path

from fastapi.routing import APIRoute

import app
from app.config import Settings
from app.errors import EcholiaError
from app.limits import published_limits
from app.main import create_app
from tests.spec.vectors import FOLDER

PAGE = (FOLDER.parent / "protocol.md").read_text()
NOT_SAID_ONE_BY_ONE = {
    # Parents of others, and faults whose status says all a client needs.
    *("error", "forbidden", "gone", "state_conflict", "too_large", "public_key_refused"),
    *("method_not_allowed", "not_found", "unsupported_media_type", "internal_error"),
    *("unavailable", "storage_error"),
}


def plain(path: Path) -> Settings:
    return Settings(_env_file=None, data_dir=path)


def spelled(route: APIRoute, method: str) -> str:
    """A call as the page writes it; the pairing table leaves out the beginning of its paths."""
    return f"{method} {route.path.replace('/auth/pairings/', '…/')}"


def test_every_call_of_the_application_is_on_the_page(tmp_path: Path) -> None:
    routes = _routes(create_app(plain(tmp_path)).routes)
    calls = {spelled(route, method) for route in routes for method in route.methods or ()}
    assert {"GET /health", "POST /auth/register", "POST …/{pairing_id}/join"} <= calls
    assert [call for call in calls if f"`{call}" not in PAGE] == []


def _routes(found: object) -> list[APIRoute]:
    """All routes, also those below a router that was included whole."""
    routes: list[APIRoute] = []
    for each in found:  # type: ignore[attr-defined]
        if isinstance(each, APIRoute):
            routes.append(each)
        else:
            routes += _routes(getattr(getattr(each, "original_router", None), "routes", ()))
    return routes


def test_the_table_of_limits_has_the_published_names_and_defaults(tmp_path: Path) -> None:
    rows = re.findall(r"^\| `(\w+)` \| (\d+) \|", PAGE, re.MULTILINE)
    assert {name: int(number) for name, number in rows} == published_limits(plain(tmp_path))


def _codes(kind: type[EcholiaError]) -> set[str]:
    ours = [each for each in kind.__subclasses__() if each.__module__.startswith("app.")]
    return {kind.code}.union(*(_codes(each) for each in ours))


def test_every_code_that_a_client_acts_on_is_on_the_page() -> None:
    for module in pkgutil.walk_packages(app.__path__, "app."):
        if module.name not in ("app.main", "app.__main__"):
            importlib.import_module(module.name)
    ours = {code for code in _codes(EcholiaError) if not code.startswith("storage_")}
    said = set(re.findall(r"`(\w+)`", PAGE))
    assert sorted(ours - said - NOT_SAID_ONE_BY_ONE) == []
