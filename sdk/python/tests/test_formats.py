"""MessagePack where a server knows it, JSON where it does not, and nothing else believed."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import httpx
import msgpack
import pytest

from echolia import AnswerInvalid, Session
from echolia._answers import Answer, read_answer
from echolia._calls import Call, Proof
from echolia._canonical import new_id
from echolia._driver import Driver
from echolia._formats import JSON, MESSAGEPACK, write
from echolia._keys import RsaKey

from .conftest import ORIGIN

VECTORS = Path(__file__).parents[3] / "spec" / "vectors" / "msgpack.json"
BODY = {"id": "x", "encrypted_data": b"\x00\xff"}
PUSH = Call("POST", "/sync/push", BODY, proof=Proof.NONE)


class Server:
    """Answers what it got; an old one knows no MessagePack."""

    def __init__(self, *, is_old: bool = False) -> None:
        self.is_old = is_old
        self.asked: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        sent = request.headers.get("Content-Type", JSON)
        if self.is_old and sent != JSON:
            return httpx.Response(415, json={"code": "unsupported_media_type"})
        if self.is_old:
            return httpx.Response(200, json={"got": json.loads(request.content or b"null")})
        got = msgpack.unpackb(request.content) if request.content else None
        return packed({"got": got})

    @property
    def types(self) -> list[str]:
        return [request.headers.get("Content-Type", "") for request in self.asked]


def packed(value: object) -> httpx.Response:
    return httpx.Response(
        200, content=msgpack.packb(value), headers={"Content-Type": "application/msgpack"}
    )


def driver(key: RsaKey, server: Server) -> Driver:
    return Driver(key, ORIGIN, httpx.MockTransport(server))


def test_bodies_go_out_in_messagepack_with_bytes_as_they_are(rsa_keys: list[RsaKey]) -> None:
    server = Server()
    answer = driver(rsa_keys[0], server).send(PUSH)
    assert answer.object("got").data("encrypted_data") == b"\x00\xff"
    assert server.types == [MESSAGEPACK]


def test_a_call_without_body_wants_messagepack_and_takes_json(rsa_keys: list[RsaKey]) -> None:
    server = Server()
    driver(rsa_keys[0], server).send(Call("GET", "/sync/pull", proof=Proof.NONE))
    assert server.types == [""]
    assert server.asked[0].headers["Accept"] == "application/msgpack, application/json;q=0.5"


def test_an_older_server_is_spoken_to_in_json_from_its_first_refusal_on(
    rsa_keys: list[RsaKey],
) -> None:
    server = Server(is_old=True)
    device = driver(rsa_keys[0], server)
    for _ in range(2):
        got = device.send(PUSH).object("got")
        assert got.fields == {"id": "x", "encrypted_data": "AP8="}
        assert got.data("encrypted_data") == b"\x00\xff"
    assert server.types == [MESSAGEPACK, JSON, JSON]
    assert server.asked[-1].headers["Accept"] == JSON


@pytest.mark.parametrize(
    "content",
    [b"", b"\xc1", b"\x80\x80", b"\x90", b"\x81\x01\x02", b"\xd4\x05\x00", b"\x91" * 2000,
     b"\xdd\xff\xff\xff\xff" * 50, b"\x81\xa1x\xc7\x00\x05", b"\xa1\xff"],
)  # fmt: skip
def test_what_is_no_object_in_messagepack_is_no_answer(content: bytes) -> None:
    response = httpx.Response(200, content=content, headers={"Content-Type": MESSAGEPACK})
    if not content:
        assert read_answer(response).fields == {}
        return
    with pytest.raises(AnswerInvalid):
        read_answer(response)


@pytest.mark.parametrize("value", [1, "not base64!", None, ["AAAA"], msgpack.Timestamp(1)])
def test_what_is_neither_bytes_nor_base64_is_not_taken_for_bytes(value: Any) -> None:
    with pytest.raises(AnswerInvalid):
        Answer({"challenge": value}).data("challenge")


def test_bytes_are_not_taken_for_text() -> None:
    ids = {"user_id": new_id().encode(), "device_id": new_id()}
    with pytest.raises(AnswerInvalid):
        Session.read(Answer({**ids, "access_token": "a", "refresh_token": "r"}))


def test_what_has_no_form_on_the_wire_is_not_sent() -> None:
    for media_type in (JSON, MESSAGEPACK):
        with pytest.raises(TypeError):
            write({"x": object()}, media_type)


@pytest.mark.parametrize(
    "case", json.loads(VECTORS.read_text())["answers"], ids=lambda c: c["name"]
)
def test_answers_of_the_specification_are_read_alike_in_both_forms(case: dict[str, Any]) -> None:
    raw = bytes.fromhex(case["packed"])
    response = httpx.Response(200, content=raw, headers={"Content-Type": MESSAGEPACK})
    told = httpx.Response(200, json=case["json"])
    assert in_json(dict(read_answer(response).fields)) == read_answer(told).fields


def in_json(value: Any) -> Any:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, list):
        return [in_json(each) for each in value]
    return {k: in_json(v) for k, v in value.items()} if isinstance(value, dict) else value
