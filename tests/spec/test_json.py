"""spec/vectors/json.json, sent to the running application."""

from typing import Any

import httpx
import pytest

from tests.kit.device import Device
from tests.spec.vectors import name_of, vectors

CASES = vectors("json")["cases"]
PLACEHOLDER = b"$device"


async def answer_to(case: Any, device: Device, http: httpx.AsyncClient) -> httpx.Response:
    body = bytes.fromhex(case["body"]).replace(PLACEHOLDER, device.id.encode())
    headers = {"Content-Type": "application/json"}
    if case["path"].startswith("/sync/"):
        headers["Authorization"] = f"Bearer {device.session['access_token']}"
    return await http.post(case["path"], content=body, headers=headers)


@pytest.mark.parametrize("case", CASES, ids=name_of)
async def test_a_body_gets_its_status_and_code(
    case: Any, device: Device, http: httpx.AsyncClient
) -> None:
    answer = await answer_to(case, device, http)
    assert (answer.status_code, answer.json().get("code")) == (case["status"], case.get("code"))
    if "paths" in case:
        assert [fault["path"] for fault in answer.json()["errors"]] == case["paths"]


def test_no_two_cases_share_a_name() -> None:
    assert len({case["name"] for case in CASES}) == len(CASES)
