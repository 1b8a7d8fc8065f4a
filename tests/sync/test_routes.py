"""Bad input to every path of `/sync`: the right code, no echo, nothing stored, never a fault."""

import base64
import json
import os
import uuid
from collections.abc import Callable
from typing import Any, cast

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.kit.device import Device
from tests.kit.sync import Tables

ReadTables = Callable[[], Tables]
CANARY = "a5ecret0f1he5en7er"
UUID1 = "6ba7b810-9dad-11d1-80b4-00c04fd430c8"
NIL = "00000000-0000-0000-0000-000000000000"
NOT_UUIDS: tuple[object, ...] = (
    None,
    5,
    "",
    CANARY,
    UUID1,
    NIL,
    str(uuid.uuid4()).upper(),
    str(uuid.uuid4()).replace("-", ""),
    "{" + str(uuid.uuid4()) + "}",
    str(uuid.uuid4()) + "\n",
    " " + str(uuid.uuid4()),
    str(uuid.uuid4())[:-1],
    [str(uuid.uuid4())],
)
NOT_BASE64: tuple[object, ...] = (
    None,
    5,
    [1, 2],
    CANARY + "!",
    "QUJ",
    "QUJD\n",
    "QU JD",
    "QR==",  # stray bits in the last character
    "QUI",
    "QUI==",
    "=QUI",
    "QUJD=",
    "-_-_",
    "é" * 4,
)
MISSING = object()

CHANGE_FAULTS: dict[str, tuple[object, ...]] = {
    "collection": (MISSING, None, 5, "", "Entries", "entry", CANARY, ["entries"], {}),
    "id": (MISSING, *NOT_UUIDS),
    "vector_clock": (
        MISSING,
        None,
        5,
        "",
        [],
        [["device", 1]],
        {"": 1},
        {UUID1: 1},
        {str(uuid.uuid4()).upper(): 1},
        {str(uuid.uuid4()): "1"},
        {str(uuid.uuid4()): 1.0},
        {str(uuid.uuid4()): True},
        {str(uuid.uuid4()): None},
        {str(uuid.uuid4()): [1]},
        {str(uuid.uuid4()): CANARY},
        {CANARY + "-": 1},
    ),
    "key_epoch": (MISSING, None, "1", 1.0, 1.5, True, [], CANARY, 2**32, 10**40),
    "is_deleted": (MISSING, None, 0, 1, "false", CANARY, []),
    "encrypted_data": (MISSING, *NOT_BASE64),
    "entry_id": tuple(each for each in NOT_UUIDS if each is not None),
    "device_id": tuple(each for each in NOT_UUIDS if each is not None),
    CANARY: (1,),
    "received_at": (1700000000,),
}
PUSH_FAULTS: dict[str, tuple[object, ...]] = {
    "changes": (MISSING, None, [], {}, 5, CANARY, [None], [5], [[]], [CANARY], [{}]),
    "atomic": (None, 0, 1, "true", CANARY, []),
    "confirm_deletes": (-1, 1.0, "1", True, CANARY, []),
    CANARY: (1,),
    "cursor": ("x",),
}


async def assert_refused(
    device: Device, tables: ReadTables, body: object, code: str, status: int, what: object
) -> None:
    before = tables()
    answer = await device.call("POST", "/sync/push", body)
    assert (answer.status_code, answer.json()["code"]) == (status, code), what
    assert answer.headers["content-type"] == "application/problem+json"
    assert CANARY not in answer.text, what
    assert tables() == before, what


def with_field(values: dict[str, Any], name: str, value: object) -> dict[str, Any]:
    changed = {key: each for key, each in values.items() if key != name}
    return changed if value is MISSING else changed | {name: value}


@pytest.mark.parametrize("name", CHANGE_FAULTS)
async def test_a_change_with_a_field_that_does_not_fit_refuses_the_push(
    device: Device, tables: ReadTables, name: str
) -> None:
    """A good change stands before it, and is not stored."""
    for value in CHANGE_FAULTS[name]:
        good, bad = device.change(), device.change(collection="tags")
        body = {"changes": [good, with_field(bad, name, value)]}
        await assert_refused(device, tables, body, "invalid", 422, (name, value))


@pytest.mark.parametrize("name", PUSH_FAULTS)
async def test_a_push_with_a_field_that_does_not_fit_is_refused(
    device: Device, tables: ReadTables, name: str
) -> None:
    for value in PUSH_FAULTS[name]:
        body = with_field({"changes": [device.change()]}, name, value)
        await assert_refused(device, tables, body, "invalid", 422, (name, value))


async def test_only_tags_name_an_entry(device: Device, tables: ReadTables) -> None:
    for collection in ("entries", "memories"):
        change = device.change(collection=collection, entry_id=str(uuid.uuid4()))
        await assert_refused(device, tables, {"changes": [change]}, "invalid", 422, collection)


async def test_what_is_wrong_is_named_by_its_path(device: Device) -> None:
    changes = [device.change(), device.change(id=CANARY, is_deleted="x")]
    problem = (await device.push(*changes)).json()
    assert {each["path"] for each in problem["errors"]} == {"changes/1/id", "changes/1/is_deleted"}
    unknown = (await device.push(device.change(**{CANARY: cast("Any", 1)}))).json()
    assert [each["path"] for each in unknown["errors"]] == ["changes/0"]
    bad = (await device.push(device.change(encrypted_data="?"))).json()
    assert [each["path"] for each in bad["errors"]] == ["changes/0/encrypted_data"]


async def test_a_name_put_where_a_device_id_belongs_is_not_repeated(device: Device) -> None:
    clocks: tuple[Any, ...] = ({CANARY: 1}, {CANARY: "x"})
    for clock in clocks:
        answer = await device.push(device.change(clock=clock))
        assert answer.status_code == 422
        assert CANARY not in answer.text


async def test_a_body_that_is_no_push_is_refused(device: Device, tables: ReadTables) -> None:
    bodies: tuple[object, ...] = ([], [1], "text", 5, True, {})
    for body in bodies:
        await assert_refused(device, tables, body, "invalid", 422, body)
    assert await raw_push(device, b"null") == (422, "invalid")


async def raw_push(
    device: Device, content: bytes, media_type: str | None = "application/json", **headers: str
) -> tuple[int, str]:
    sent = {"Authorization": f"Bearer {device.session['access_token']}"} | headers
    if media_type is not None:
        sent["Content-Type"] = media_type
    answer = await device.http.post("/sync/push", content=content, headers=sent)
    assert CANARY not in answer.text
    return answer.status_code, answer.json()["code"]


async def test_what_is_not_i_json_is_malformed(device: Device, tables: ReadTables) -> None:
    change = orjson.dumps(device.change())
    bodies = (
        b"",
        b"null garbage",
        b"{",
        b'{"changes":[' + change + b"]",
        b'{"changes":[' + change + b"]} x",
        b'{"changes":[' + change + b'],"changes":[' + change + b"]}",
        b'{"changes":[' + change.replace(b'"key_epoch":1', b'"key_epoch":NaN') + b"]}",
        b'{"changes":[' + change.replace(b'"key_epoch":1', b'"key_epoch":1,"key_epoch":1') + b"]}",
        b'{"changes":["\xff\xfe"]}',
        b'{"changes":["\\ud800"]}',
        b"\xef\xbb\xbf{}",
        b"[" * 100_000,
        b'{"a":' * 1000 + b"1" + b"}" * 1000,
    )
    for body in bodies:
        assert await raw_push(device, body) == (400, "malformed"), body[:60]
    assert tables().versions == ()


async def test_a_clock_that_names_a_device_twice_is_malformed(
    device: Device, tables: ReadTables
) -> None:
    change = orjson.dumps(device.change(clock={device.id: 1}))
    twice = change.replace(b'":1}', f'":1,"{device.id}":2}}'.encode())
    assert twice.count(device.id.encode()) == 2
    assert await raw_push(device, b'{"changes":[' + twice + b"]}") == (400, "malformed")
    assert tables().versions == ()


async def test_a_body_of_another_type_is_refused(device: Device, tables: ReadTables) -> None:
    body = orjson.dumps({"changes": [device.change()]})
    for media_type in (None, "text/plain", "application/x-www-form-urlencoded", CANARY + "/x", ""):
        assert await raw_push(device, body, media_type) == (415, "unsupported_media_type")
    assert await raw_push(device, body, "application/json; charset=latin-1") == (
        415,
        "unsupported_media_type",
    )
    packed = {"Content-Encoding": "gzip"}
    assert await raw_push(device, body, **packed) == (415, "unsupported_media_type")
    assert tables().versions == ()


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/sync/push"), ("GET", "/sync/pull"), ("GET", "/sync/status")]
)
async def test_every_path_wants_a_good_token(
    device: Device, tables: ReadTables, method: str, path: str
) -> None:
    body = {"changes": [device.change()]} if method == "POST" else None
    good = str(device.session["access_token"])
    for token in (None, "", CANARY, good[:-2], good + "x", "é"):
        headers = {} if token is None else {b"Authorization": f"Bearer {token}".encode()}
        answer = await device.http.request(method, path, json=body, headers=headers)
        assert answer.status_code == 401, token
        assert CANARY not in answer.text
        assert "WWW-Authenticate" in answer.headers
    assert tables().versions == ()


async def test_a_bad_push_without_a_token_is_401_and_not_422(device: Device) -> None:
    answer = await device.http.post("/sync/push", json={"changes": []})
    assert answer.status_code == 401


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=-1",
        "limit=501",
        "limit=",
        "limit=1.5",
        "limit=ten",
        "limit=" + "9" * 30,
        "limit=" + "9" * 5000,
        "limit=null",
        "limit=1&limit=2",
        "wait=-1",
        "wait=26",
        "wait=",
        "wait=1.5",
        "wait=true",
        "wait=nan",
        "collections=entry",
        "collections=entries,",
        "collections=,entries",
        "collections=entries,entries",
        "collections=entries, tags",
        "collections=Entries",
        "collections=entries&collections=tags",
        f"collections={CANARY}",
        f"limit={CANARY}",
        f"wait={CANARY}",
        f"{CANARY}=1",
        "Cursor=x",
        "bucket[]=1",
    ],
    ids=lambda query: query[:30],
)
async def test_a_query_that_does_not_fit_is_refused_and_never_cut_to_fit(
    device: Device, query: str
) -> None:
    answer = await device.call("GET", f"/sync/pull?{query}")
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")
    assert CANARY not in answer.text


async def test_what_is_empty_is_as_if_it_were_absent(device: Device) -> None:
    await device.push(device.change())
    answer = await device.call("GET", "/sync/pull?cursor=&limit=500&collections=&wait=0")
    assert len(answer.json()["changes"]) == 1


async def test_an_overlong_cursor_is_no_cursor(device: Device) -> None:
    for cursor in ("A" * 129, "A" * 5000):
        answer = await device.call("GET", f"/sync/pull?cursor={cursor}")
        assert (answer.status_code, answer.json()["code"]) == (422, "cursor_invalid")


@pytest.mark.parametrize("path", ["/sync/status", "/sync/push"])
async def test_a_query_where_none_belongs_is_refused(device: Device, path: str) -> None:
    method, body = ("POST", {"changes": [device.change()]}) if "push" in path else ("GET", None)
    answer = await device.call(method, f"{path}?{CANARY}=1", body)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")
    assert CANARY not in answer.text


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/sync/push"), ("POST", "/sync/pull"), ("DELETE", "/sync/status")],
)
async def test_other_methods_are_refused_with_the_right_one_named(
    device: Device, method: str, path: str
) -> None:
    answer = await device.call(method, path)
    assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")
    assert answer.headers["Allow"]


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
    | st.sampled_from(["entries", UUID1, str(uuid.uuid4()), "QUJD"]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(["changes", "collection", "id", "vector_clock", "encrypted_data", "x"]),
        inner,
        max_size=4,
    ),
    max_leaves=12,
)


@settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(body=st.fixed_dictionaries({"changes": st.lists(json_values, max_size=3)}) | json_values)
async def test_whatever_json_is_sent_it_is_refused_and_nothing_fails(
    device: Device, body: object
) -> None:
    status, code = await raw_push(device, json.dumps(body).encode())
    assert (status, code) in ((400, "malformed"), (422, "invalid"))


FIELDS = st.sampled_from(
    ["collection", "id", "vector_clock", "key_epoch", "is_deleted", "encrypted_data", "entry_id"]
)


@settings(
    deadline=None, max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(name=FIELDS, value=json_values)
async def test_a_change_with_any_one_field_replaced_is_judged_and_nothing_fails(
    device: Device, name: str, value: object
) -> None:
    body = {"changes": [device.change(collection="tags") | {name: value}]}
    answer = await device.call("POST", "/sync/push", body)
    assert answer.status_code in (200, 400, 422)


async def test_ciphertext_is_stored_byte_for_byte(device: Device) -> None:
    samples = [bytes(range(256)), b"\0", b"\xff" * 3, os.urandom(1000), os.urandom(1001)]
    changes = [device.change(data=data) for data in samples]
    await device.push(*changes)
    pulled = (await device.pull_all()).items
    for change, data in zip(changes, samples, strict=True):
        (version,) = pulled["entries", change["id"]]
        assert base64.b64decode(version["encrypted_data"]) == data
