"""Failures as problem+json (RFC 9457)."""

from collections.abc import Iterator

import httpx
import orjson
import pytest

from app import problems
from app.config import Settings
from app.database import db_manager
from app.database.port import Busy, RowTooLarge, StorageError, Unavailable
from app.errors import EcholiaError, NotAuthenticated, WrongMediaType
from tests.kit.device import Device
from tests.kit.identity import said
from tests.kit.storage import disk_full
from tests.kit.sync import tables_of, user_file


def leaves(kind: type[EcholiaError]) -> Iterator[type[EcholiaError]]:
    yield kind
    for below in kind.__subclasses__():
        yield from leaves(below)


EVERY = sorted(
    set(leaves(EcholiaError)) - {EcholiaError}, key=lambda kind: (kind.__name__, kind.code)
)


@pytest.mark.parametrize("kind", EVERY, ids=lambda kind: kind.code)
def test_every_failure_is_one_shape(kind: type[EcholiaError]) -> None:
    answer = problems.render(kind())
    problem = orjson.loads(bytes(answer.body))
    assert answer.media_type == "application/problem+json"
    assert answer.status_code == problem["status"] == kind.status
    assert problem["code"] == kind.code
    assert kind.code.replace("_", "").isalnum()
    assert kind.code == kind.code.lower()
    assert problem["type"] == f"urn:echolia:problem:{kind.code}"
    assert problem["title"].endswith(".")
    assert problem["detail"]
    assert ("www-authenticate" in answer.headers) == (kind.status == 401)
    if kind.status == 503:
        assert int(answer.headers["retry-after"]) >= 1


def test_no_code_stands_for_two_statuses() -> None:
    found: dict[str, int] = {}
    for kind in EVERY:
        assert found.setdefault(kind.code, kind.status) == kind.status, kind.code


def test_extras_stand_beside_the_fixed_members() -> None:
    problem = orjson.loads(bytes(problems.render(RowTooLarge()).body))
    assert set(problem) == {"type", "title", "status", "detail", "code"}
    problem = orjson.loads(bytes(problems.render(WrongMediaType("Why.", limit=3)).body))
    assert (problem["detail"], problem["limit"]) == ("Why.", 3)


def test_a_missing_token_names_the_scheme_and_a_refused_proof_its_own() -> None:
    assert problems.render(NotAuthenticated()).headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize("kind", [Busy, Unavailable])
def test_storage_that_cannot_says_when_to_come_again(kind: type[StorageError]) -> None:
    answer = problems.render(kind())
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")


async def test_a_push_on_a_full_disk_is_not_acknowledged(
    device: Device, settings: Settings
) -> None:
    (await device.push(device.change())).raise_for_status()
    before = tables_of(settings.data_dir, device.user_id)
    large = device.change(data=bytes(400_000))
    with disk_full(200_000):
        answer = await device.push(large)
        assert answer.status_code == 503
        assert said(answer)[1] in ("storage_unavailable", "storage_unknown")
        assert int(answer.headers["retry-after"]) >= 1
        assert (await device.pull()).status_code == 200, "what is stored can still be read"
    assert tables_of(settings.data_dir, device.user_id).versions == before.versions
    again = await device.push(large)
    assert again.json()["results"][0]["verdict"] in ("applied", "replayed")
    tables_of(settings.data_dir, device.user_id).check()


async def test_a_registration_on_a_full_disk_is_healed_by_another_try(
    http: httpx.AsyncClient, device: Device
) -> None:
    other = Device(http, clock=device.clock)
    body = await other.registration()
    with disk_full(60_000):
        answer = await other.call("POST", "/auth/register", body, token=None)
        assert answer.status_code == 503, answer.text
        assert answer.headers["retry-after"] == "1"
    assert (await other.register()).is_success
    assert (await other.push(other.change())).is_success


async def test_a_damaged_file_of_a_user_is_that_users_503(
    device: Device, settings: Settings
) -> None:
    other = Device(device.http, clock=device.clock)
    (await other.register()).raise_for_status()
    await db_manager.cleanup_inactive_replicas(days=0)
    user_file(settings.data_dir, other.user_id).write_bytes(b"\xa5" * 50_000)
    for answer in (await other.push(other.change()), await other.pull()):
        assert said(answer) == (503, "storage_unavailable")
        assert answer.headers["retry-after"] == "1"
    assert (await device.push(device.change())).is_success
