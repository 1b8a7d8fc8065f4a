"""spec/vectors/msgpack.json, sent to the running application, and read as a client would."""

import base64
import json
from typing import Any

import httpx
import msgpack
import pytest

from tests.conftest import NewDevice
from tests.kit.device import Device
from tests.make_vectors import msgpack as program
from tests.spec.vectors import name_of, vectors

FILE = vectors("msgpack")
BINARY = {"encrypted_data"}


async def answer_to(case: Any, device: Device, body: bytes, media_type: str) -> httpx.Response:
    headers = {"Content-Type": media_type}
    if case["path"].startswith("/sync/"):
        headers["Authorization"] = f"Bearer {device.session['access_token']}"
    sent = body.replace(program.DEVICE.encode(), device.id.encode())
    return await device.http.post(case["path"], content=sent, headers=headers)


async def test_each_body_gets_its_status_its_code_and_its_paths(device: Device) -> None:
    for case in FILE["bodies"]:
        body = bytes.fromhex(case["body"])
        answer = await answer_to(case, device, body, "application/msgpack")
        assert answer.status_code == case["status"], case["name"]
        if case["status"] == 200:
            assert answer.headers["content-type"] == "application/msgpack"
            continue
        problem = answer.json()
        assert problem["code"] == case["code"], case["name"]
        if "paths" in case:
            paths = [fault["path"] for fault in problem["errors"]]
            assert set(paths) == set(case["paths"]), case["name"]


async def test_what_is_taken_is_what_its_json_says(new_device: NewDevice) -> None:
    for case in FILE["bodies"]:
        if "json" not in case:
            continue
        device = new_device()
        (await device.register()).raise_for_status()
        body = bytes.fromhex(case["body"])
        packed = await answer_to(case, device, body, "application/msgpack")
        said = json.dumps(case["json"]).encode()
        told = await answer_to(case, device, said, "application/json")
        assert (packed.status_code, told.status_code) == (200, 200), case["name"]
        if case["path"] == "/sync/push":
            assert {each["verdict"] for each in told.json()["results"]} == {"replayed"}


@pytest.mark.parametrize("case", FILE["answers"], ids=name_of)
def test_an_answer_says_what_its_json_says_in_the_shortest_form(case: Any) -> None:
    raw = bytes.fromhex(case["packed"])
    found = msgpack.unpackb(raw)
    assert in_json(found) == case["json"]
    assert msgpack.packb(found) == raw


def in_json(value: Any) -> Any:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, list):
        return [in_json(each) for each in value]
    if isinstance(value, dict):
        assert {name for name in value if isinstance(value[name], bytes)} <= BINARY
        return {name: in_json(each) for name, each in value.items()}
    return value


def test_no_two_bodies_share_a_name() -> None:
    assert len({case["name"] for case in FILE["bodies"]}) == len(FILE["bodies"])


def test_the_file_is_what_its_program_makes() -> None:
    made = {"bodies": list(program._bodies()), "answers": list(program._answers())}
    assert {name: FILE[name] for name in made} == json.loads(json.dumps(made))
