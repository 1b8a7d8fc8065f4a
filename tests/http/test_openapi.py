"""The OpenAPI document: only for debugging, and then with every body."""

import json
from typing import Any

import pytest

from app.config import Settings
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
    assert posts - with_body == {"/auth/logout"}
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
