"""The same bodies in MessagePack: refused alike, with nothing repeated."""

import base64
import math
from collections.abc import Iterator
from typing import Any

import httpx
import msgpack
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from app import events
from app.config import Settings
from app.errors import Invalid, Malformed
from app.http.bodies import AUTH_BODY_BYTES, INLINE_BYTES, MAX_FIELDS
from app.http.messagepack import Budget, parse
from tests.conftest import Running, settings_for
from tests.http.test_bodies import CANARY, POSTS, wrong_pushes
from tests.http.test_messagepack import REFUSED
from tests.kit.device import Device
from tests.kit.identity import said

PACKED = {"Content-Type": "application/msgpack"}
PUSH = "/sync/push"


@pytest.fixture
def settings(tmp_path: Any) -> Settings:
    return settings_for(tmp_path, log_level="debug")


@pytest.fixture(autouse=True)
def silent(capsys: pytest.CaptureFixture[str]) -> Iterator[None]:
    """No line of the log holds what a client sent, and none tells of a fault of ours."""
    yield
    events.flush()
    written = capsys.readouterr()
    assert CANARY not in written.out + written.err
    assert "request_failed" not in written.out


class Poster:
    def __init__(self, device: Device) -> None:
        self._device = device

    async def __call__(self, path: str, body: Any) -> httpx.Response:
        sent = dict(PACKED)
        if path.startswith("/sync"):
            sent["Authorization"] = f"Bearer {self._device.session['access_token']}"
        content = body if isinstance(body, bytes) else msgpack.packb(body)
        answer = await self._device.http.post(path, content=content, headers=sent)
        assert CANARY not in answer.text
        assert not any(CANARY in value for value in answer.headers.values())
        return answer


@pytest.fixture
async def post(device: Device) -> Poster:
    return Poster(device)


def packed_change(device: Device, **fields: Any) -> dict[str, Any]:
    change = device.change(data=b"sealed", **fields)
    return change | {"encrypted_data": b"sealed"}


async def test_what_has_no_one_meaning_is_malformed_everywhere(post: Poster) -> None:
    for path in POSTS:
        for name, body in REFUSED.items():
            assert said(await post(path, body)) == (400, "malformed"), (path, name)


anything = st.recursive(
    st.sampled_from([math.nan, math.inf, 1.0, 1, True, None, "\uffff", "x\ufdd0", "x", b"x"])
    | st.builds(msgpack.Timestamp, st.just(1)),
    lambda inner: st.lists(inner, max_size=2)
    | st.dictionaries(st.sampled_from(["x", "id", b"x", "\U0001fffe"]), inner, max_size=2),
    max_leaves=4,
)
FIELDS = (
    "collection", "id", "vector_clock", "key_epoch", "is_deleted", "encrypted_data", "entry_id",
    "device_id", "not_known", "x\uffff", b"id",
)  # fmt: skip


@hypothesis_settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(field=st.sampled_from(FIELDS), is_within=st.booleans(), put=anything)
async def test_what_has_no_one_meaning_is_malformed_wherever_a_push_holds_it(
    post: Poster, device: Device, field: str, is_within: bool, put: Any
) -> None:
    """What fits the model is not looked at whole, and what does not fit is malformed first."""
    change = packed_change(device)
    body: dict[Any, Any] = {"changes": [change, change | {field: put}]}
    if not is_within:
        body = {"changes": [change], "reset_from" if field == "id" else field: put}
    answer = await post(PUSH, body)
    try:
        parse(msgpack.packb(body), Budget(1024, 10**6, Invalid("too much")))
    except Malformed:
        assert said(answer) == (400, "malformed")
    else:
        assert answer.status_code in (200, 422)


async def test_what_is_no_map_does_not_fit_any_call(post: Poster) -> None:
    others: list[Any] = [[], None, "text", 1, 1.5, True, b"bytes", [[[]]]]
    for path in POSTS:
        for value in others:
            answer = await post(path, msgpack.packb(value))
            assert said(answer) == (422, "invalid"), (path, value)


async def test_unknown_fields_are_refused_and_their_names_not_repeated(post: Poster) -> None:
    for path in POSTS:
        answer = await post(path, {CANARY: 1, "x": {CANARY: [CANARY]}})
        assert said(answer) == (422, "invalid"), path
        faults = answer.json()["errors"]
        assert {"path": "", "reason": "has a field that is not known"} in faults, path


def wrong_packed_pushes() -> Iterator[tuple[str, Any]]:
    """What JSON's table holds, with bytes where it has base64."""
    for name, body in wrong_pushes():
        if "beyond all bounds" in name:  # MessagePack ends at 64 bits
            continue
        yield name, _with_bytes(body)


def _with_bytes(body: dict[str, Any]) -> dict[str, Any]:
    changes = body["changes"]
    if not isinstance(changes, list):
        return body
    return body | {"changes": [_change_with_bytes(each) for each in changes]}


def _change_with_bytes(change: Any) -> Any:
    if isinstance(change, dict) and change.get("encrypted_data") == "AAAA":
        return change | {"encrypted_data": b"AAAA"}
    return change


async def test_a_push_that_does_not_fit_names_where_and_never_what(
    post: Poster, device: Device
) -> None:
    for name, body in wrong_packed_pushes():
        answer = await post(PUSH, body)
        assert said(answer) == (422, "invalid"), name
        faults = answer.json()["errors"]
        assert faults, name
        assert all(set(fault) == {"path", "reason"} for fault in faults), name
    assert (await device.pull_all()).items == {}


async def test_bytes_where_text_is_wanted_do_not_fit(post: Poster, device: Device) -> None:
    change = packed_change(device, collection="tags", entry_id=device.id)
    for name in ("collection", "id", "entry_id", "device_id"):
        raw = str(change.get(name, device.id)).encode()
        answer = await post(PUSH, {"changes": [change | {name: raw}]})
        assert said(answer) == (422, "invalid"), name
        assert answer.json()["errors"][0]["path"] == f"changes/0/{name}"
    known = {"key_thumbprint": device.key.thumbprint_text.encode()}
    assert said(await post("/auth/challenge", known)) == (422, "invalid")
    assert said(await post("/auth/refresh", {"refresh_token": b"x"})) == (422, "invalid")
    cursor = {"changes": [packed_change(device)], "reset_from": b"x"}
    assert said(await post(PUSH, cursor)) == (422, "cursor_invalid")


async def test_base64_where_bytes_are_wanted_does_not_fit(post: Poster, device: Device) -> None:
    answer = await post(PUSH, {"changes": [device.change()]})
    fault = {"path": "changes/0/encrypted_data", "reason": "must be bytes"}
    assert (said(answer), answer.json()["errors"]) == ((422, "invalid"), [fault])
    registration = raw_registration(await device.registration())
    for name in ("challenge", "signature", "wrapping_key_signature", "proof_of_work"):
        answer = await post("/auth/register", registration | {name: "AAAA"})
        assert answer.json()["errors"] == [{"path": name, "reason": "must be bytes"}]


def raw_registration(body: dict[str, Any]) -> dict[str, Any]:
    return body | {name: base64.b64decode(body[name]) for name in ("challenge", "signature")}


async def test_bytes_are_no_base64_in_json(device: Device) -> None:
    """The other way round nothing changed: JSON has text, and it is base64."""
    answer = await device.push(device.change() | {"encrypted_data": 5})
    fault = {"path": "changes/0/encrypted_data", "reason": "must be base64 text"}
    assert answer.json()["errors"] == [fault]


async def test_a_device_can_live_in_messagepack_alone(post: Poster, device: Device) -> None:
    """Register, log in, refresh: the challenge and the signature are bytes both ways."""
    asked = await post("/auth/register/challenge", {})
    challenge = msgpack.unpackb(asked.content)["challenge"]
    assert isinstance(challenge, bytes)
    signed = device.answer_to("echolia/register/v1", base64.b64encode(challenge).decode())
    body = {
        "challenge": challenge,
        "public_key": device.key.pem,
        "signature": base64.b64decode(signed),
        "device_type": "desktop",
        "platform": "linux",
        "proof_of_work": None,
    }
    answer = await post("/auth/register", body)
    assert answer.status_code == 200
    assert msgpack.unpackb(answer.content)["device_id"] == device.id


async def test_more_fields_than_any_body_has_do_not_fit(post: Poster) -> None:
    for path in POSTS:
        crowd = {f"{CANARY}{number}": 1 for number in range(MAX_FIELDS + 1)}
        assert said(await post(path, crowd)) == (422, "invalid"), path
        answer = await post(path, {"x": [[] for _ in range(1500)]})
        assert said(answer)[0] in (413, 422), path


async def test_limits_are_those_of_json(running: Running, tmp_path: Any) -> None:
    small = settings_for(tmp_path / "small", max_push_changes=3, max_push_bytes=64 * 1024)
    device = Device(await running(small))
    (await device.register()).raise_for_status()
    post = Poster(device)
    four = {"changes": [packed_change(device) for _ in range(4)]}
    crowded = {"changes": [packed_change(device) for _ in range(250)]}
    for body in (four, crowded):
        answer = await post(PUSH, body)
        assert (said(answer), answer.json()["limit"]) == ((413, "too_many_changes"), 3)
    large = packed_change(device) | {"encrypted_data": bytes(64 * 1024)}
    assert said(await post(PUSH, {"changes": [large]})) == (413, "body_too_large")
    full = msgpack.packb({"x": bytes(AUTH_BODY_BYTES)})
    assert said(await post("/auth/challenge", full)) == (413, "body_too_large")


async def test_a_list_longer_than_any_push_is_too_many_changes(
    post: Poster, device: Device
) -> None:
    answer = await post(PUSH, b"\x81\xa7changes\xdd\x00\x0f\xff\xff" + bytes(2**20))
    assert said(answer) == (413, "too_many_changes")


async def test_a_large_push_is_judged_as_a_small_one_is(post: Poster, device: Device) -> None:
    """Beyond a size it is parsed on another thread."""
    large = packed_change(device) | {"encrypted_data": bytes(INLINE_BYTES)}
    assert said(await post(PUSH, {"changes": [large]})) == (200, None)
    assert said(await post(PUSH, {"changes": [large | {CANARY: 1}]})) == (422, "invalid")
    cut = msgpack.packb({"changes": [large]})[:-1]
    assert said(await post(PUSH, cut)) == (400, "malformed")


@pytest.mark.parametrize("content_type", ["application/x-msgpack", "application/vnd.msgpack", ""])
async def test_another_name_for_the_type_is_not_read(device: Device, content_type: str) -> None:
    for path in POSTS:
        headers = {"Content-Type": content_type}
        if path == PUSH:
            headers["Authorization"] = f"Bearer {device.session['access_token']}"
        answer = await device.http.post(path, content=b"\x80", headers=headers)
        assert said(answer) == (415, "unsupported_media_type"), path


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.binary()
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["changes", "id", "signature", "challenge", "x"]), inner),
    max_leaves=10,
)  # fmt: skip


@hypothesis_settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(body=st.binary(max_size=60) | values.map(msgpack.packb))
async def test_no_bytes_are_a_fault_of_ours(post: Poster, body: bytes) -> None:
    for path in POSTS:
        answer = await post(path, body)
        assert answer.status_code < 500, (path, body)
        assert answer.status_code == 200 or answer.json()["code"]
