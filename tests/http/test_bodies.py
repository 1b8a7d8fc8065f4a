"""Bodies on real endpoints: what is refused, with which code, and that nothing is repeated."""

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest

from app import events
from app.config import Settings
from app.http.bodies import AUTH_BODY_BYTES, INLINE_BYTES, LINGER_TIMES
from tests.conftest import NewDevice, Running, settings_for
from tests.http.test_ijson import REFUSED
from tests.kit.device import Device
from tests.kit.identity import said

CANARY = "canary_d41d8cd98f00b204"
POSTS = [
    "/auth/register/challenge",
    "/auth/register",
    "/auth/challenge",
    "/auth/login",
    "/auth/refresh",
    "/sync/push",
]
JSON = {"Content-Type": "application/json"}


@pytest.fixture
def settings(tmp_path: Any) -> Settings:
    return settings_for(tmp_path, log_level="debug")


@pytest.fixture(autouse=True)
def silent(capsys: pytest.CaptureFixture[str]) -> Iterator[None]:
    """No line of the log holds what a client sent."""
    yield
    events.flush()
    written = capsys.readouterr()
    assert CANARY not in written.out + written.err
    assert "request_failed" not in written.out


class Poster:
    def __init__(self, device: Device) -> None:
        self._device = device

    async def __call__(self, path: str, body: Any, **headers: str) -> httpx.Response:
        sent = dict(JSON) | {name.replace("_", "-"): value for name, value in headers.items()}
        if path.startswith("/sync"):
            sent["Authorization"] = f"Bearer {self._device.session['access_token']}"
        content = body if not isinstance(body, dict | list) else json.dumps(body).encode()
        answer = await self._device.http.post(path, content=content, headers=sent)
        assert CANARY not in answer.text
        assert not any(CANARY in value for value in answer.headers.values())
        return answer


@pytest.fixture
async def post(device: Device) -> Poster:
    return Poster(device)


async def test_what_is_not_i_json_is_malformed_everywhere(post: Poster) -> None:
    for path in POSTS:
        for name, body in REFUSED.items():
            refused = {(400, "malformed")}
            if len(body) > AUTH_BODY_BYTES:  # counted before it is parsed
                refused.add((413, "too_many_changes" if path == "/sync/push" else "body_too_large"))
            assert said(await post(path, body)) in refused, (path, name)


async def test_i_json_that_is_no_object_does_not_fit_any_call(post: Poster) -> None:
    for path in POSTS:
        for body in (b"[]", b"null", b'"text"', b"1", b"1e400", b"true", b"[[[]]]"):
            assert said(await post(path, body)) == (422, "invalid"), (path, body)


async def test_unknown_fields_are_refused_and_their_names_not_repeated(post: Poster) -> None:
    for path in POSTS:
        answer = await post(path, {CANARY: 1, "x": {CANARY: [CANARY]}})
        assert said(answer) == (422, "invalid"), path
        faults = answer.json()["errors"]
        assert {"path": "", "reason": "has a field that is not known"} in faults, path


def wrong_pushes() -> Iterator[tuple[str, Any]]:
    change: dict[str, Any] = {
        "collection": "entries",
        "id": "8c9f1f6e-2f0e-4c58-9a55-0a0c5f6d7e8f",
        "vector_clock": {"8c9f1f6e-2f0e-4c58-9a55-0a0c5f6d7e8f": 1},
        "key_epoch": 1,
        "is_deleted": False,
        "encrypted_data": "AAAA",
    }
    yield "no changes", {"changes": []}
    yield "changes of another kind", {"changes": {CANARY: 1}}
    yield "a list of texts", {"changes": [CANARY]}
    yield "unknown field in a change", {"changes": [change | {CANARY: CANARY}]}
    for name, value in {
        "collection": CANARY,
        "id": CANARY,
        "vector_clock": {CANARY: 1},
        "key_epoch": CANARY,
        "is_deleted": CANARY,
        "encrypted_data": CANARY + "!",
        "entry_id": CANARY,
        "device_id": CANARY,
    }.items():
        yield f"{name} of wrong form", {"changes": [change | {name: value}]}
        yield f"{name} of wrong kind", {"changes": [change | {name: [CANARY]}]}
    yield "a clock of texts", {"changes": [change | {"vector_clock": {CANARY: CANARY}}]}
    yield "a clock of a float", {"changes": [change | {"vector_clock": {change["id"]: 1.0}}]}
    yield "a float for an integer", {"changes": [change | {"key_epoch": 1.0}]}
    yield "a number for a truth", {"changes": [change | {"is_deleted": 0}]}
    yield "an integer beyond all bounds", {"changes": [change | {"key_epoch": 10**300}]}
    yield "upper-case id", {"changes": [change | {"id": change["id"].upper()}]}
    yield "id with a line break", {"changes": [change | {"id": change["id"] + "\n"}]}
    yield "text for a list", {"changes": CANARY}
    yield "atomic as text", {"changes": [change], "atomic": CANARY}
    for name in change:
        yield f"{name} missing", {"changes": [{k: v for k, v in change.items() if k != name}]}


async def test_a_push_that_does_not_fit_names_where_and_never_what(
    post: Poster, device: Device
) -> None:
    for name, body in wrong_pushes():
        answer = await post("/sync/push", body)
        assert said(answer) == (422, "invalid"), name
        faults = answer.json()["errors"]
        assert faults, name
        assert all(set(fault) == {"path", "reason"} for fault in faults), name
        if name != "no changes":
            first = "atomic" if "atomic" in name else "changes"
            assert all(fault["path"].split("/")[0] == first for fault in faults), name
    assert (await device.pull_all()).items == {}


async def test_a_cursor_that_is_no_text_is_no_cursor(post: Poster, device: Device) -> None:
    for cursor in ({CANARY: 1}, 1, [CANARY], CANARY):
        body = {"changes": [device.change()], "reset_from": cursor}
        assert said(await post("/sync/push", body)) == (422, "cursor_invalid"), cursor


async def test_a_counter_beyond_all_bounds_is_rejected_for_its_item_alone(
    post: Poster, device: Device
) -> None:
    for counter in (0, -1, 2**53, 2**63, 2**64, 10**300):
        answer = await post("/sync/push", {"changes": [device.change(clock={device.id: counter})]})
        assert answer.status_code == 200, counter
        assert answer.json()["results"][0]["code"] == "clock_invalid", counter


async def test_values_of_auth_calls_are_not_repeated(post: Poster, device: Device) -> None:
    registration = await device.registration()
    for path, known in (
        ("/auth/register", registration),
        ("/auth/challenge", {"key_thumbprint": device.key.thumbprint_text, "purpose": "login"}),
        ("/auth/refresh", {"refresh_token": "x"}),
    ):
        for name in known:
            for value in (CANARY, [CANARY], {CANARY: CANARY}, 1, None, CANARY * 900):
                answer = await post(path, known | {name: value})
                assert answer.status_code in (400, 401, 413, 422), (path, name, value)
                assert answer.json()["code"], (path, name, value)


@pytest.mark.parametrize(
    "content_type",
    [
        "",
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/jsonp",
        "application/problem+json",
        "application/octet-stream",
        "application/json; charset=utf-16",
        'application/json; charset="latin-1"',
        "text/json",
        "*/*",
    ],
)
async def test_another_type_than_json_is_not_read(post: Poster, content_type: str) -> None:
    for path in POSTS:
        answer = await post(path, b"{}", Content_Type=content_type)
        assert said(answer) == (415, "unsupported_media_type"), path


@pytest.mark.parametrize(
    "content_type",
    ["application/json", "Application/JSON", "application/json; charset=utf-8",
     'application/json;charset="UTF-8"'],
)  # fmt: skip
async def test_json_is_read_however_its_type_is_written(post: Poster, content_type: str) -> None:
    answer = await post("/auth/register/challenge", b"{}", Content_Type=content_type)
    assert said(answer) == (200, None)


@pytest.mark.parametrize("encoding", ["gzip", "br", "deflate", "identity, gzip", CANARY])
async def test_an_encoded_body_is_not_read(post: Poster, encoding: str) -> None:
    answer = await post("/auth/register/challenge", b"{}", Content_Encoding=encoding)
    assert said(answer) == (415, "unsupported_media_type")


async def test_a_body_of_the_cap_is_read_and_one_byte_more_is_not(
    running: Running, tmp_path: Any, new_device: NewDevice
) -> None:
    http = await running(settings_for(tmp_path / "small", max_push_bytes=64 * 1024))
    device = Device(http, clock=new_device().clock)
    (await device.register()).raise_for_status()
    post = Poster(device)
    for path, cap in (("/auth/register/challenge", AUTH_BODY_BYTES), ("/sync/push", 64 * 1024)):
        full = b"{}".ljust(cap)
        assert (await post(path, full)).status_code in (200, 422), path
        answer = await post(path, full + b" ")
        assert said(answer) == (413, "body_too_large"), path
        assert answer.json()["limit"] == cap


async def endless(told: list[int]) -> AsyncIterator[bytes]:
    while True:
        told.append(8192)
        yield b" " * 8192


async def test_a_body_that_never_ends_is_cut_soon_after_the_cap(device: Device) -> None:
    told: list[int] = []
    answer = await device.http.post("/auth/challenge", content=endless(told), headers=JSON)
    assert said(answer) == (413, "body_too_large")
    assert sum(told) <= LINGER_TIMES * AUTH_BODY_BYTES + 2 * 8192


async def test_a_large_push_is_judged_as_a_small_one_is(post: Poster, device: Device) -> None:
    """Beyond a size it is parsed on another thread."""
    large = device.change(data=bytes(INLINE_BYTES))
    assert said(await post("/sync/push", {"changes": [large]})) == (200, None)
    assert said(await post("/sync/push", {"changes": [large | {CANARY: 1}]})) == (422, "invalid")
    cut = json.dumps({"changes": [large]}).encode()[:-1]
    assert said(await post("/sync/push", cut)) == (400, "malformed")
