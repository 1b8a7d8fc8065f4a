"""Whatever is sent to whichever call, the answer is one that the OpenAPI document announces."""

import asyncio
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as seeded
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS, load_all_checks
from schemathesis.config import SchemathesisConfig

from tests.kit.device import Device
from tests.kit.keys import DeviceKey, new_key
from tests.kit.pair import opened
from tests.kit.server import ServerProcess

CHECKED = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
)
REFUSED = {"expected-statuses": ["400", "401", "403", "404", "409", "410", "413", "415", "422"]}
PATIENCE_SECONDS = 20
SOAK_CASES = 2000
DEFAULT_CASES = 24


@dataclass
class Account:
    """A device of an account on the server: proves itself in each request, and comes back by its
    key when a case has ended its session."""

    url: str
    key: DeviceKey = field(default_factory=new_key)
    session: dict[str, Any] = field(default_factory=dict)
    nonce: str | None = None
    pairing_id: str = ""
    cursor: str = ""

    def enter(self) -> None:
        """A session, an open pairing and a cursor, all good now."""
        asyncio.run(self._enter())

    async def _enter(self) -> None:
        async with httpx.AsyncClient(base_url=self.url) as http:
            device = Device(http, self.key, origin=self.url)
            (await device.register()).raise_for_status()
            for pairing_id in filter(None, [self.pairing_id]):
                await device.call("DELETE", f"/auth/pairings/{pairing_id}")
            self.pairing_id = await opened(device)
            self.cursor = (await device.pull()).json()["cursor"]
            self.session, self.nonce = device.session, device.nonce

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """The request with token and proof, whatever else is in it."""
        token = str(self.session["access_token"])
        path = urlsplit(str(request.url)).path
        device = Device(None, self.key, origin=self.url, nonce=self.nonce)  # type: ignore[arg-type]
        ath = self.session["refresh_token"] if path == "/auth/refresh" else token
        request.headers["Authorization"] = f"Bearer {token}"
        request.headers["DPoP"] = device.proof(str(request.method), path, ath)
        return request

    def learn(self, response: Any, path: str) -> None:
        self.nonce = response.headers.get("dpop-nonce", [self.nonce])[0]
        if path == "/auth/refresh" and response.status_code == 200:
            self.session = response.json()
        if path == "/auth/logout" and response.status_code == 204:
            self.enter()
        if "/pairings" in path and response.status_code in (201, 204, 409, 410):
            self.enter()

    def known(self) -> dict[str, Any]:
        """Values that are more than well formed, by the name of their field."""
        return {
            "public_key": self.key.pem,
            "key_thumbprint": self.key.thumbprint_text,
            "refresh_token": self.session["refresh_token"],
            "pairing_id": self.pairing_id,
            "device_id": self.session["device_id"],
            "cursor": self.cursor,
            "reset_from": self.cursor,
            "vector_clock": {self.session["device_id"]: 1},
        }


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    folder: Path = tmp_path_factory.mktemp("documented")
    with ServerProcess(folder, DEBUG="true", RATE_LIMITS="off", LOG_LEVEL="error") as running:
        yield running


@pytest.fixture(scope="module")
def schema(server: ServerProcess) -> Any:
    document = httpx.get(f"{server.url}/openapi.json").json()
    del document["paths"]["/sync/events"]  # a good answer of it has no end
    for path in document["paths"].values():
        for operation in path.values():
            del operation["security"]  # credentials are brought by `Account`, and not made up
    config = SchemathesisConfig.from_dict({"checks": {"negative_data_rejection": REFUSED}})
    return schemathesis.openapi.from_dict(document, config=config)


def put_known(value: Any, known: dict[str, Any], chance: random.Random) -> None:
    """Some of the fields with a known value get it: so that a case gets further."""
    if isinstance(value, list):
        for each in value:
            put_known(each, known, chance)
    if not isinstance(value, dict):
        return
    for name, inner in value.items():
        if name in known and chance.random() < 0.7:
            value[name] = known[name]
        else:
            put_known(inner, known, chance)


@dataclass
class Explorer:
    """Sends made-up cases, by a device of an account or by nobody, and counts them by what came."""

    account: Account
    cases: int
    seed: int
    session: requests.Session = field(default_factory=requests.Session)
    answered: Counter[int] = field(default_factory=Counter)

    def explore(self, operation: Any, mode: GenerationMode) -> None:
        """Fails with the first answer that is not as documented."""

        @seeded(self.seed)
        @settings(
            max_examples=self.cases,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(generation_mode=mode), chance=st.randoms())
        def each(case: Any, chance: random.Random) -> None:
            if mode is GenerationMode.POSITIVE:
                self._improve(case, chance)
            self._send(case, self.account if chance.random() < 0.75 else None)

        try:
            each()
        except Unsatisfiable:
            assert mode is GenerationMode.NEGATIVE  # a call without any input has no wrong one

    def _improve(self, case: Any, chance: random.Random) -> None:
        known = self.account.known()
        for part in (case.path_parameters, case.query, case.body):
            put_known(part, known, chance)
        if "wait" in (case.query or {}):
            case.query["wait"] = 0  # waiting is another test's matter

    def _send(self, case: Any, sender: Account | None) -> None:
        response = case.call(
            base_url=self.account.url, session=self.session, auth=sender, timeout=PATIENCE_SECONDS
        )
        self.answered[response.status_code] += 1
        case.validate_response(response, checks=CHECKS.get_by_names(list(CHECKED)))
        self.account.learn(response, urlsplit(response.request.url).path)


def explore_all(schema: Any, server: ServerProcess, cases: int, seed: int) -> None:
    print(f"seed {seed}; the same run again: TEST_SEED={seed}")
    load_all_checks()
    account = Account(server.url)
    account.enter()
    explorer = Explorer(account, cases // 2, seed)
    operations = [found.ok() for found in schema.get_all_operations()]
    for operation in operations:
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            explorer.explore(operation, mode)
    assert "Traceback" not in server.log.read_text()
    assert explorer.answered[200] > len(operations), "next to nothing got in"
    print(f"{explorer.answered.total()} cases of {len(operations)} operations:")
    print(dict(sorted(explorer.answered.items())))


def test_every_answer_is_documented(schema: Any, server: ServerProcess, seed: int) -> None:
    explore_all(schema, server, DEFAULT_CASES, seed)


@pytest.mark.soak
def test_every_answer_to_two_thousand_cases_a_call_is_documented(
    schema: Any, server: ServerProcess, seed: int
) -> None:
    explore_all(schema, server, SOAK_CASES, seed)
