"""Which form an answer has, by what the request brings and wants."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterator

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel
from starlette.requests import Request

from app.config import Settings
from app.http.fields import In, Out
from app.http.formats import JSON, MESSAGEPACK, wanted_by
from app.main import create_app
from tests.conftest import NewDevice
from tests.kit.device import Device
from tests.kit.identity import said
from tests.kit.recovery import Phrase

J, M = "application/json", "application/msgpack"


def asking(*accept: str, content_type: str = "") -> Request:
    headers = [(b"accept", each.encode("latin-1")) for each in accept]
    if content_type:
        headers.append((b"content-type", content_type.encode()))
    return Request({"type": "http", "headers": headers})


@pytest.mark.parametrize(
    ("accept", "sent", "wanted"),
    [
        ([], "", J),
        ([], J, J),
        ([], M, M),
        ([], f"{M}; x=y", M),
        ([M], "", M),
        ([M], J, M),
        ([J], M, J),
        ([" Application/MsgPack "], J, M),
        ([f"{M};q=1"], J, M),
        ([f"{J};q=0.5, {M}"], J, M),
        ([f"{J};q=0.5, {M};q=0.4"], M, J),
        ([f"{J};q=0.5", M], J, M),
        ([f"{J}, {M}"], M, M),
        ([f"{J}, {M}"], J, J),
        ([f"{M};q=0"], M, J),
        ([f"{M};q=0, */*"], M, J),
        ([f"{J};q=0, */*;q=0.1"], J, M),
        (["*/*"], M, M),
        (["*/*"], "", J),
        (["application/*"], M, M),
        ([f"*/*, {J};q=0.9"], J, M),
        ([f"application/*;q=0.2, {M};q=0.1"], M, J),
        ([f"{J};charset=utf-8;q=0.1, {M};q=0.2"], J, M),
        ([f"{M} ; Q=0.9, {J} ; q=0.8"], J, M),
        (["text/html"], M, J),
        (["text/html, image/*"], "", J),
        (["application/x-msgpack"], J, J),
        ([f"{M};q=2, {J};q=0.1"], M, J),
        ([f"{M};q=1.001, {J};q=0.1"], M, J),
        ([f"{M};q=x, {J};q=0.1"], M, J),
        ([f"{M};q=0.0001, {J};q=0.1"], M, J),
        ([f"{M};q=.5"], J, J),
        ([",,;,="], "", J),
        ([""], M, M),
    ],
)
def test_the_form_of_an_answer_is_the_one_preferred(
    accept: list[str], sent: str, wanted: str
) -> None:
    assert wanted_by(asking(*accept, content_type=sent)).media_type == wanted


@given(st.lists(st.text(st.characters(max_codepoint=255), max_size=40), max_size=3))
def test_no_accept_is_too_strange_for_an_answer(accept: list[str]) -> None:
    assert wanted_by(asking(*accept)) in (JSON, MESSAGEPACK)


async def test_every_call_answers_in_the_form_it_is_asked_for(device: Device) -> None:
    for path in ("/", "/health", "/account", "/auth/devices", "/sync/status", "/sync/pull"):
        told = await device.call("GET", path)
        packed = await device.call("GET", path, headers={"Accept": M})
        assert told.headers["content-type"] == J, path
        assert packed.headers["content-type"] == M, path
        assert int(packed.headers["content-length"]) == len(packed.content), path
        found = msgpack.unpackb(packed.content)
        assert found.keys() == told.json().keys(), path
        for name in found.keys() - {"server_time"}:
            assert found[name] == told.json()[name], (path, name)


async def test_what_has_no_content_has_none_in_either_form(device: Device) -> None:
    answer = await device.call("POST", "/auth/logout", headers={"Accept": M})
    assert (answer.status_code, answer.content) == (204, b"")


async def test_a_refusal_is_a_problem_in_json_whatever_is_asked_for(device: Device) -> None:
    for path in ("/sync/pull?cursor=A", "/auth/devices?x=1", "/nowhere"):
        answer = await device.call("GET", path, headers={"Accept": M})
        assert answer.headers["content-type"] == "application/problem+json"
        assert said(answer)[0] in (404, 422)


async def test_head_tells_the_length_of_what_get_would_answer(device: Device) -> None:
    got = await device.call("GET", "/sync/status", headers={"Accept": M})
    headed = await device.call("HEAD", "/sync/status", headers={"Accept": M})
    assert headed.headers["content-type"] == M
    assert headed.headers["content-length"] == got.headers["content-length"]


async def test_a_status_of_its_own_survives_the_change_of_form(new_device: NewDevice) -> None:
    device = new_device()
    body = await device.registration()
    first = await device.call("POST", "/auth/register", body, token=None, headers={"Accept": M})
    body = await device.registration()
    again = await device.call("POST", "/auth/register", body, token=None, headers={"Accept": M})
    assert (first.status_code, again.status_code) == (201, 200)
    ids = [msgpack.unpackb(answer.content)["device_id"] for answer in (first, again)]
    assert ids[0] == ids[1]


async def test_a_bundle_comes_as_the_bytes_that_were_put(
    device: Device, new_device: NewDevice
) -> None:
    phrase, comer = Phrase(), new_device()
    kept = {
        "locator": phrase.locator,
        "authenticator_hash": hashlib.sha256(phrase.authenticator).digest(),
        "bundle": phrase.bundle,
    }
    token = device.session["access_token"]
    proof = device.proof("PUT", "/auth/recovery", token)
    headers = {"Content-Type": M, "Authorization": f"Bearer {token}", "DPoP": proof}
    put = await device.http.put("/auth/recovery", content=msgpack.packb(kept), headers=headers)
    assert (put.status_code, put.content) == (204, b"")
    body = await phrase.attempt(comer)
    answer = await comer.call("POST", "/auth/recover", body, token=None, headers={"Accept": M})
    assert msgpack.unpackb(answer.content)["bundle"] == phrase.bundle


async def test_an_export_is_lines_of_json_whatever_is_asked_for(device: Device) -> None:
    answer = await device.call("POST", "/account/export", proof=True, headers={"Accept": M})
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert all(json.loads(line)["type"] for line in answer.content.splitlines())


def models_below(kind: type[BaseModel]) -> Iterator[type[BaseModel]]:
    for each in kind.__subclasses__():
        yield each
        yield from models_below(each)


def test_what_is_bytes_in_one_model_is_bytes_in_every_model(settings: Settings) -> None:
    """Otherwise it would be binary one way and text the other."""
    create_app(settings)  # so that all are there
    kinds: defaultdict[str, dict[bool, str]] = defaultdict(dict)
    for model in (*models_below(In), *models_below(Out)):
        for name, schema in model.model_json_schema().get("properties", {}).items():
            said = json.dumps(schema)
            if '"type": "string"' in said:
                kinds[name]["contentEncoding" in said] = model.__name__
    assert kinds["challenge"].keys() == {True}
    assert {name: found for name, found in kinds.items() if len(found) > 1} == {}
