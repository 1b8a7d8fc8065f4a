"""The OpenAPI document: only for debugging, and then with every body."""

import json
from typing import Any

import pytest

from app.config import Settings
from app.errors import EcholiaError
from app.main import create_app
from tests.conftest import Running, settings_for


@pytest.fixture
def debug(tmp_path: Any) -> Settings:
    return settings_for(tmp_path, debug=True)


async def test_documents_are_served_only_for_debugging(
    running: Running, settings: Settings, debug: Settings, tmp_path: Any
) -> None:
    plain = await running(settings_for(tmp_path / "plain"))
    for path in ("/docs", "/redoc", "/openapi.json", "/docs/oauth2-redirect"):
        assert (await plain.get(path)).status_code == 404
    open_to_see = await running(debug)
    for path in ("/docs", "/redoc", "/openapi.json"):
        assert (await open_to_see.get(path)).status_code == 200


def document(settings: Settings) -> dict[str, Any]:
    found: dict[str, Any] = create_app(settings).openapi()
    return found


def test_every_call_that_reads_a_body_describes_it(debug: Settings) -> None:
    paths = document(debug)["paths"]
    with_body = {path for path, item in paths.items() if "requestBody" in item.get("post", {})}
    posts = {path for path, item in paths.items() if "post" in item}
    assert posts - with_body == {"/auth/logout", "/account/export"}
    assert not any("requestBody" in item.get("get", {}) for item in paths.values())


def test_a_push_is_described_down_to_its_changes(debug: Settings) -> None:
    found = document(debug)
    body = found["paths"]["/sync/push"]["post"]["requestBody"]
    assert body["required"]
    name = body["content"]["application/json"]["schema"]["$ref"].rsplit("/", 1)[-1]
    schemas = found["components"]["schemas"]
    assert set(schemas[name]["properties"]) == {
        "changes", "atomic", "confirm_deletes", "reset_from",
    }  # fmt: skip
    assert schemas[name]["additionalProperties"] is False
    change = schemas["ChangeIn"]["properties"]
    assert {"collection", "id", "vector_clock", "encrypted_data"} <= set(change)


def test_whatever_is_said_in_json_may_be_said_in_messagepack(debug: Settings) -> None:
    said = 0
    for item in document(debug)["paths"].values():
        for operation in item.values():
            for holder in (operation.get("requestBody", {}), *operation["responses"].values()):
                content = holder.get("content", {})
                if "application/json" in content:
                    said += 1
                    assert content["application/msgpack"] == content["application/json"]
    assert said > 20


def test_bytes_are_described_alike_coming_and_going(debug: Settings) -> None:
    schemas = document(debug)["components"]["schemas"]
    for name in ("LoginIn", "ChallengeOut"):
        challenge = schemas[name]["properties"]["challenge"]
        assert (challenge["type"], challenge["contentEncoding"]) == ("string", "base64")


def test_every_reference_leads_somewhere(debug: Settings) -> None:
    found = document(debug)
    references = {
        part.split('"')[0] for part in json.dumps(found).split('"$ref": "#/components/schemas/')[1:]
    }
    assert references
    assert references <= set(found["components"]["schemas"])


def test_asking_twice_gives_the_same_document(debug: Settings) -> None:
    app = create_app(debug)
    assert json.dumps(app.openapi()) == json.dumps(app.openapi())


def operations(found: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        f"{method.upper()} {path}": operation
        for path, item in found["paths"].items()
        for method, operation in item.items()
    }


def codes_of(operation: dict[str, Any]) -> dict[str, str]:
    """Every documented code with the status it comes with."""
    found: dict[str, str] = {}
    for status, response in operation["responses"].items():
        problem = response.get("content", {}).get("application/problem+json")
        if problem is not None:
            own = problem["schema"]["allOf"][1]["properties"]
            assert own["status"] == {"const": int(status)}
            found |= dict.fromkeys(own["code"]["enum"], status)
    return found


def every_error(kind: type[EcholiaError] = EcholiaError) -> dict[str, type[EcholiaError]]:
    found = {kind.code: kind}
    for leaf in kind.__subclasses__():
        if leaf.__module__.startswith("app."):  # tests make up errors of their own
            found |= every_error(leaf)
    return found


OF_NO_CALL = {
    "error", "gone", "forbidden", "state_conflict", "too_large",  # kinds, never sent themselves
    "method_not_allowed",  # of a path that has no such call
}  # fmt: skip


def test_every_code_there_is_belongs_to_some_call(debug: Settings) -> None:
    documented: dict[str, str] = {}
    for operation in operations(document(debug)).values():
        documented |= codes_of(operation)
    errors = {code: kind for code, kind in every_error().items() if code not in OF_NO_CALL}
    assert {code: str(kind.status) for code, kind in errors.items()} == documented


def test_who_may_call_is_said_where_somebody_is_refused(debug: Settings) -> None:
    for name, operation in operations(document(debug)).items():
        asks_who = {"not_authenticated", "proof_required"} & codes_of(operation).keys()
        assert bool(operation["security"]) == bool(asks_who), name


def test_a_call_with_a_proof_takes_token_and_proof_or_either(debug: Settings) -> None:
    found = operations(document(debug))
    assert found["GET /sync/pull"]["security"] == [{"bearer": []}]
    assert found["DELETE /auth/devices/{device_id}"]["security"] == [{"bearer": [], "proof": []}]
    either: list[dict[str, list[str]]] = [{"bearer": []}, {"proof": []}]
    assert found["GET /auth/pairings/{pairing_id}"]["security"] == either
    assert found["GET /health"]["security"] == []


def test_nothing_of_the_frameworks_own_errors_is_left(debug: Settings) -> None:
    found = document(debug)
    assert "ValidationError" not in json.dumps(found)
    for call, operation in operations(found).items():
        for status, response in operation["responses"].items():
            kinds = set(response.get("content", {}))
            good = {"application/json", "application/msgpack"}
            if call == "GET /sync/events":
                good = {"text/event-stream"}
            assert kinds <= ({"application/problem+json"} if int(status) >= 400 else good)


def test_bounds_of_numbers_are_in_the_document(debug: Settings) -> None:
    pull = operations(document(debug))["GET /sync/pull"]
    limit = next(each["schema"] for each in pull["parameters"] if each["name"] == "limit")
    assert (limit["minimum"], limit["maximum"]) == (1, 500)
