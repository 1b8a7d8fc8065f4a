"""spec/vectors/json.json, sent to the running application."""

from typing import Any

import httpx

from tests.kit.device import Device
from tests.spec.vectors import vectors

CASES = vectors("json")["cases"]
PLACEHOLDER = b"$device"


async def answer_to(case: Any, device: Device, http: httpx.AsyncClient) -> httpx.Response:
    body = bytes.fromhex(case["body"]).replace(PLACEHOLDER, device.id.encode())
    headers = {"Content-Type": "application/json"}
    if case["path"].startswith("/sync/"):
        headers["Authorization"] = f"Bearer {device.session['access_token']}"
    return await http.post(case["path"], content=body, headers=headers)


def told(case: Any) -> tuple[Any, ...]:
    return case["status"], case.get("code"), case.get("paths")


async def test_each_body_gets_its_status_its_code_and_its_paths(
    device: Device, http: httpx.AsyncClient
) -> None:
    """One application answers them all: a body that is refused leaves nothing behind."""
    got = {}
    for case in CASES:
        answer = await answer_to(case, device, http)
        problem = answer.json()
        paths = [fault["path"] for fault in problem.get("errors", ())]
        got[case["name"]] = answer.status_code, problem.get("code"), paths or None
    expected = {case["name"]: told(case) for case in CASES}
    assert {name: got[name] for name in got if got[name] != expected[name]} == {}


def test_no_two_cases_share_a_name() -> None:
    assert len({case["name"] for case in CASES}) == len(CASES)
