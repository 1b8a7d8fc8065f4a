"""Paths, methods and query parameters that a call does not have."""

import httpx
import pytest

from tests.kit.device import Device
from tests.kit.identity import said

CANARY = "canary_9e107d9d372bb682"
ID = "8c9f1f6e-2f0e-4c58-9a55-0a0c5f6d7e8f"


@pytest.mark.parametrize(
    "query",
    [CANARY, f"{CANARY}=1", f"limit=1&{CANARY}=2", "Limit=1", "limit[]=1", "limit=1&limit=1",
     "limit=1&limit=2", "wait=0&wait=0", "=1", "&&x", "%00=1", "collections=tags&collections=tags"],
)  # fmt: skip
async def test_unknown_or_repeated_query_parameters_do_not_fit(device: Device, query: str) -> None:
    answer = await device.call("GET", f"/sync/pull?{query}")
    assert said(answer) == (422, "invalid")
    assert answer.json()["errors"][0]["path"] == "query"
    assert CANARY not in answer.text


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=501", "limit=-1",  "limit=1e1", "limit=", f"limit={CANARY}",
     "limit=" + "9" * 5000, "limit=%EF%BC%91", "wait=26", "wait=-1", "wait=true",
     f"collections={CANARY}", "collections=tags,tags", "collections=,tags",
     "limit=5.0", "limit=%2B5", "limit=5_0", "limit=%205"],
)  # fmt: skip
async def test_values_out_of_bounds_do_not_fit(device: Device, query: str) -> None:
    answer = await device.call("GET", f"/sync/pull?{query}")
    assert said(answer) == (422, "invalid")
    fault = answer.json()["errors"][0]
    assert fault["path"] == f"query/{query.split('=')[0]}"
    assert CANARY not in answer.text


@pytest.mark.parametrize("query", [f"cursor={CANARY}", "cursor=%ED%A0%80%00", "cursor=A"])
async def test_a_cursor_that_is_none_says_so(device: Device, query: str) -> None:
    answer = await device.call("GET", f"/sync/pull?{query}")
    assert said(answer) == (422, "cursor_invalid")
    assert CANARY not in answer.text


@pytest.mark.parametrize("path", ["/", "/health", "/auth/devices", "/sync/status"])
async def test_a_call_without_parameters_takes_none(device: Device, path: str) -> None:
    assert said(await device.call("GET", f"{path}?{CANARY}=1")) == (422, "invalid")
    assert said(await device.call("GET", f"{path}?")) == (200, None)


@pytest.mark.parametrize(
    "path",
    [f"/{CANARY}", "/sync", "/sync/", "/sync/pull/", "/sync//pull", "/SYNC/pull", "/.env",
     "/auth/devices/", "/docs", "/redoc", "/openapi.json", "/sync/%70ull/x", "/%00", "/..%2f..",
     "/" + "a" * 8000],
)  # fmt: skip
async def test_an_unknown_path_is_not_found(http: httpx.AsyncClient, path: str) -> None:
    for method in ("GET", "POST", "DELETE", "OPTIONS"):
        answer = await http.request(method, path)
        assert said(answer) == (404, "not_found")
        assert CANARY not in answer.text


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "/", "GET, HEAD"),
        ("DELETE", "/health", "GET, HEAD"),
        ("GET", "/sync/push", "POST"),
        ("HEAD", "/sync/push", "POST"),
        ("PUT", "/sync/pull", "GET, HEAD"),
        ("OPTIONS", "/sync/pull", "GET, HEAD"),
        ("TRACE", "/sync/pull", "GET, HEAD"),
        ("PROPFIND", "/sync/pull", "GET, HEAD"),
        ("GET", "/auth/login", "POST"),
        ("POST", f"/auth/pairings/{ID}", "DELETE, GET, HEAD"),
        ("PATCH", f"/auth/pairings/{ID}", "DELETE, GET, HEAD"),
        ("GET", f"/auth/devices/{ID}", "DELETE"),
    ],
)
async def test_a_wrong_method_is_told_the_right_ones(
    http: httpx.AsyncClient, method: str, path: str, allowed: str
) -> None:
    answer = await http.request(method, path)
    assert answer.status_code == 405
    assert answer.headers["allow"] == allowed
    if method != "HEAD":
        assert said(answer) == (405, "method_not_allowed")


async def test_head_is_get_without_the_content(device: Device) -> None:
    for path in ("/", "/health", "/sync/status"):
        got = await device.call("GET", path)
        headed = await device.call("HEAD", path)
        assert (headed.status_code, headed.content) == (200, b"")
        assert headed.headers["content-type"] == got.headers["content-type"]
        assert int(headed.headers["content-length"]) == len(got.content)
    refused = await device.call("HEAD", "/sync/status", token=None)
    assert (refused.status_code, refused.content) == (401, b"")
