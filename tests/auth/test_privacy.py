"""What is left behind by every flow of identity: on disk, in the log, in answers."""

import base64
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from app import events
from app.auth.accounts import Accounts
from tests.conftest import SECRET, settings_for
from tests.kit.clock import SetClock
from tests.kit.device import Device
from tests.kit.identity import Pairing, said, served
from tests.kit.keys import DeviceKey, new_key, rsa_key

NAME = "a name with canary Qx81"
UNKNOWN_ID = "00000000-0000-4000-8000-000000000000"


def private_forms(key: DeviceKey) -> set[bytes]:
    """The private key as text and as bytes."""
    forms = set()
    for shape in (PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL):
        der = key.private.private_bytes(Encoding.DER, shape, NoEncryption())
        forms |= {der, base64.b64encode(der)}
    return forms


def secrets_of(session: dict[str, Any]) -> set[bytes]:
    """A session's tokens, whole and by the parts that would be enough."""
    access, refresh = session["access_token"], session["refresh_token"]
    raw = base64.urlsafe_b64decode(refresh + "==")
    signature = access.rpartition(".")[2]
    return {
        access.encode(),
        signature.encode(),
        base64.urlsafe_b64decode(signature + "=="),
        refresh.encode(),
        raw[-32:],
    }


async def live_through_everything(http: Any, clock: SetClock) -> tuple[set[bytes], set[bytes]]:
    """Every flow and every kind of failure. Returns what no file may hold, and what no log may."""
    never: set[bytes] = {SECRET.encode()}
    unlogged: set[bytes] = {NAME.encode(), b"canary"}
    first = Device(http, rsa_key(), clock=clock)
    body = await first.registration(device_name=NAME)
    unlogged |= {body["challenge"].encode(), body["signature"].encode()}
    first.session = (await first.call("POST", "/auth/register", body, token=None)).json()
    never |= secrets_of(first.session)
    await first.call("POST", "/auth/register", body, token=None)
    await first.log_in()
    never |= secrets_of(first.session)
    old = first.session
    for _ in range(3):
        (await first.refresh()).raise_for_status()
        never |= secrets_of(first.session)
        await first.call("GET", "/auth/devices")
    clock.advance(seconds=5)
    await first.call("GET", "/auth/devices")
    thief = Device(http, first.key, clock=clock, session=old, nonce=first.nonce)
    assert said(await thief.refresh()) == (401, "refresh_reused")
    await first.log_in()
    never |= secrets_of(first.session)

    for mistaken in (rsa_key(3), new_key()):
        pem = mistaken.private.private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
        ).decode()
        for fields in ({"public_key": pem}, {"wrapping_key": pem}):
            refused = await first.register(**fields)
            assert refused.status_code == 422
            assert pem[60:120] not in refused.text
        never |= private_forms(mistaken)

    second = Device(http, clock=clock)
    pairing = await Pairing.open(first, second)
    pairing.join_fields["device_name"] = NAME
    await pairing.until("completed")
    never |= secrets_of(second.session)
    for value in (*pairing.join_fields.values(), *pairing.approval.values(), pairing.nonce):
        unlogged.add(str(value)[:64].encode())
    proof = first.proof("POST", "/auth/pairings", first.session["access_token"])
    headers = {"Authorization": f"Bearer {first.session['access_token']}", "DPoP": proof}
    for _ in range(2):
        await http.post("/auth/pairings", json={}, headers=headers)
    never.add(proof.encode())
    await first.push(first.change(data=b"canary of the content"))
    await http.get(f"/auth/pairings/{NAME}?{NAME}={NAME}", headers={"Authorization": NAME})
    await http.post("/auth/login", content=NAME.encode(), headers={"Content-Type": NAME})
    await http.request("CANARY", f"/canary/{UNKNOWN_ID}", headers={"X-Canary": NAME})
    await http.post("/auth/login", json={NAME: NAME, "challenge": NAME})
    await second.call("DELETE", f"/auth/devices/{second.id}", proof=True)
    await first.call("POST", "/auth/logout")
    unlogged |= {
        first.user_id.encode(),
        first.id.encode(),
        second.id.encode(),
        pairing.id.encode(),
        first.key.thumbprint_text.encode(),
        second.key.thumbprint_text.encode(),
        first.key.pem.encode()[30:90],
        str(first.nonce).encode(),
        UNKNOWN_ID.encode(),
        proof.encode(),
    }
    return never, unlogged


async def test_no_token_key_or_word_of_a_client_is_left_on_disk_or_in_the_log(
    tmp_path: Path, clock: SetClock, capfd: pytest.CaptureFixture[str]
) -> None:
    settings = settings_for(tmp_path, log_level="debug")
    async with served(settings, clock) as http:
        never, unlogged = await live_through_everything(http, clock)
        while_running = _contents(settings.data_dir)
    after = _contents(settings.data_dir)
    events.flush()
    written = capfd.readouterr()
    log = (written.out + written.err).encode().lower()
    assert b"request_handled" in log
    assert b"session_ended" in log
    for secret in never:
        assert len(secret) > 20
        for name, content in (while_running | after).items():
            assert secret not in content, name
        assert secret.lower() not in log
    for word in unlogged:
        assert word.lower() not in log, word


async def test_nothing_of_a_client_is_left_in_the_log_of_a_fault(
    tmp_path: Path,
    clock: SetClock,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def fail(*_: object, **__: object) -> None:
        raise RuntimeError(f"{NAME} in the message")

    monkeypatch.setattr(Accounts, "register", fail)
    async with served(settings_for(tmp_path, log_level="debug"), clock) as http:
        answer = await Device(http, clock=clock).register(device_name=NAME)
        assert answer.status_code == 500
        assert "canary" not in answer.text
    events.flush()
    written = capfd.readouterr()
    assert "request_failed" in written.out
    assert "canary" not in written.out + written.err


def _contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
