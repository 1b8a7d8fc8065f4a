"""The application as a whole: importing, starting, refusing to start, healing after a crash."""

import json
import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from app.config import Settings
from app.database.embedded import EmbeddedDatabases
from app.database.port import Unavailable
from app.main import create_app
from tests.conftest import Running, settings_for
from tests.kit.clock import SetClock
from tests.kit.commands import COMMANDS, environment, run, start
from tests.kit.device import Device
from tests.kit.identity import execute, said, served, tables, user_file
from tests.kit.keys import new_key
from tests.kit.server import ROOT, ServerProcess, free_port
from tests.test_config import STRONG
from tests.test_events import event_functions

either_command = pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)

AUDIT = """
import os, sys
import fastapi, uvicorn, apsw, orjson, structlog, pydantic_settings, cryptography, jwt
opened, read = [], []

def hear(event, arguments):
    if event == "open" and isinstance(arguments[0], str) and arguments[1] != "r":
        opened.append(arguments[0])
    elif event == "open" and isinstance(arguments[0], str):
        if not arguments[0].endswith((".py", ".pyc", ".so", ".json", ".pem", "METADATA")):
            opened.append(arguments[0])
    elif event in ("socket.connect", "socket.bind", "os.mkdir", "sqlite3.connect"):
        opened.append(event)

OURS = set(sys.argv[1].split(","))
real = type(os.environ).__getitem__
def heard(self, name):
    if str(name).upper() in OURS:
        read.append(name)
    return real(self, name)
type(os.environ).__getitem__ = heard
sys.addaudithook(hear)
import app.main
opened = [each for each in opened if "/dev/" not in each and "/proc/" not in each]
print(opened, read)
"""


def test_importing_opens_nothing_and_reads_no_setting(tmp_path: Path) -> None:
    names = ",".join(name.upper() for name in Settings.model_fields)
    found = subprocess.run(
        [sys.executable, "-B", "-c", AUDIT, names],
        cwd=ROOT,
        env=environment(tmp_path, DEBUG="wrong on purpose"),
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert found.stdout == "[] []\n"
    assert found.stderr == ""
    assert list(tmp_path.iterdir()) == []


def test_making_an_application_opens_nothing(tmp_path: Path) -> None:
    create_app(settings_for(tmp_path))
    assert list(tmp_path.iterdir()) == []


async def test_two_applications_in_one_process_are_strangers(
    running: Running, tmp_path: Path, clock: SetClock
) -> None:
    one = await running(settings_for(tmp_path / "one"))
    other = await running(settings_for(tmp_path / "other"))
    device = Device(one, clock=clock)
    (await device.register()).raise_for_status()
    assert (await device.push(device.change())).is_success
    device.http = other
    assert said(await device.call("GET", "/sync/status")) == (401, "not_authenticated")


async def test_an_application_stopped_and_started_again_knows_all(
    settings: Settings, clock: SetClock
) -> None:
    async with served(settings, clock) as http:
        device = Device(http, new_key(), clock=clock)
        (await device.register()).raise_for_status()
        change = device.change()
        (await device.push(change)).raise_for_status()
    async with served(settings, clock) as http:
        device.http = http
        assert list((await device.pull_all()).items) == [("entries", change["id"])]


# --- refusing to start --------------------------------------------------------------------------


@either_command
@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"ENVIRONMENT": "production"}, "JWT_SECRET"),
        ({"ENVIRONMENT": "production", "JWT_SECRET": STRONG}, "PUBLIC_ORIGIN"),
        ({"MAX_DEVICES": "canary"}, "MAX_DEVICES"),
        ({"DATABASE_URL": "libsql://canary.example"}, "DATABASE_URL"),
    ],
    ids=["secret", "origin", "number", "engine"],
)
def test_a_wrong_setting_ends_the_process_with_one_sentence(
    command: list[str], changes: dict[str, str], name: str, tmp_path: Path
) -> None:
    ended = run(command, free_port(), tmp_path, **changes)
    assert ended.returncode != 0
    assert ended.stdout == ""
    assert len(ended.stderr.splitlines()) == 1
    assert ended.stderr.startswith(name)
    assert "canary" not in ended.stderr
    assert list(tmp_path.iterdir()) == []


@either_command
def test_a_folder_served_by_another_process_ends_it_with_one_sentence(
    command: list[str], server: ServerProcess
) -> None:
    ended = run(command, free_port(), server.data.parent)
    assert ended.returncode != 0
    assert len(ended.stderr.splitlines()) == 1
    assert "DATABASE_URL" in ended.stderr
    assert "libSQL" in ended.stderr
    told = [json.loads(line)["event"] for line in ended.stdout.splitlines()]
    assert told[0] == "start_refused"
    assert httpx.get(f"{server.url}/health").status_code == 200


def test_a_damaged_master_database_ends_it_and_the_log_says_where(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "master.db").write_bytes(b"\xa5" * 9000)
    ended = run(COMMANDS["module"], free_port(), tmp_path)
    assert ended.returncode != 0
    told = [json.loads(line) for line in ended.stdout.splitlines()]
    failed = next(each for each in told if each["event"] == "start_failed")
    assert failed["error"] == "Unavailable"
    assert any("connection.py" in each for each in failed["where"])


# --- what is written ----------------------------------------------------------------------------


@either_command
async def test_every_line_of_a_session_is_an_event_and_nothing_names_anybody(
    command: list[str], tmp_path: Path
) -> None:
    port = free_port()
    url = f"http://localhost:{port}"
    with start(command, port, tmp_path, LOG_LEVEL="debug") as process:
        transport = httpx.AsyncHTTPTransport(retries=20)
        async with httpx.AsyncClient(base_url=url, transport=transport) as http:
            device = Device(http, new_key(), origin=url)
            (await device.register()).raise_for_status()
            cursor = (await device.push(device.change())).json()["cursor"]
            answers = [
                await device.pull(cursor),
                await device.pull("canary"),
                await device.call("GET", "/canary?canary=canary"),
                await device.call("POST", "/auth/login", {"canary": "canary"}),
                await device.refresh(),
                await device.call("POST", "/auth/logout"),
            ]
        process.terminate()
        process.wait(20)
    assert [each.status_code for each in answers] == [200, 422, 404, 422, 200, 204]
    text = (tmp_path / "out").read_text()
    known = set(event_functions())
    assert {json.loads(line)["event"] for line in text.splitlines()} <= known
    for secret in (device.id, device.user_id, cursor, "canary", "127.0.0.1"):
        assert secret not in text
    assert (tmp_path / "err").read_text() == ""
    if command is COMMANDS["module"]:
        assert "server" not in answers[0].headers


async def test_the_server_serves_on_when_nobody_reads_its_log(tmp_path: Path) -> None:
    """Standard output is a pipe that is full, then one that is closed."""
    port = free_port()
    url = f"http://localhost:{port}"
    read, write = os.pipe()
    with start(COMMANDS["module"], port, tmp_path, stdout=write, LOG_LEVEL="debug") as process:
        os.close(write)
        transport = httpx.AsyncHTTPTransport(retries=20)
        async with httpx.AsyncClient(base_url=url, transport=transport, timeout=10) as http:
            for _ in range(800):
                assert (await http.get("/")).status_code == 200
            os.close(read)
            for _ in range(10):
                assert (await http.get("/health")).status_code == 200
        process.terminate()
        process.wait(20)
    assert (tmp_path / "err").read_text() == ""


# --- cross-origin -------------------------------------------------------------------------------

PREFLIGHT = {
    "Origin": "https://app.example",
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "authorization, content-type, dpop",
}


async def test_without_settings_no_other_origin_is_let_in(http: httpx.AsyncClient) -> None:
    answer = await http.options("/sync/push", headers=PREFLIGHT)
    assert said(answer) == (405, "method_not_allowed")
    for found in (answer, await http.get("/", headers={"Origin": "https://app.example"})):
        assert not [name for name in found.headers if name.startswith("access-control")]


async def test_named_origins_are_let_in_and_see_what_a_client_needs(
    running: Running, tmp_path: Path
) -> None:
    http = await running(settings_for(tmp_path, cors_origins=("https://app.example",)))
    preflight = await http.options("/sync/push", headers=PREFLIGHT)
    assert preflight.status_code == 200
    assert preflight.headers["access-control-allow-origin"] == "https://app.example"
    allowed = preflight.headers["access-control-allow-headers"].lower()
    assert all(name in allowed for name in ("authorization", "content-type", "dpop"))
    assert "access-control-allow-credentials" not in preflight.headers
    for path in ("/", "/nowhere", "/sync/status"):
        answer = await http.get(path, headers={"Origin": "https://app.example"})
        assert answer.headers["access-control-allow-origin"] == "https://app.example"
        exposed = answer.headers["access-control-expose-headers"].lower().split(", ")
        assert set(exposed) >= {"date", "dpop-nonce", "retry-after", "x-request-id"}
        assert "origin" in answer.headers["vary"].lower()


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "https://app.example.evil", "http://app.example", "null"]
)
async def test_other_origins_are_not(running: Running, tmp_path: Path, origin: str) -> None:
    http = await running(settings_for(tmp_path, cors_origins=("https://app.example",)))
    for answer in (
        await http.options("/sync/push", headers=PREFLIGHT | {"Origin": origin}),
        await http.get("/", headers={"Origin": origin}),
    ):
        assert "access-control-allow-origin" not in answer.headers


# --- a crash between the master's row and the user's file ---------------------------------------


@pytest.mark.parametrize("comes_back_by", ["registering", "logging in"])
async def test_a_registration_cut_off_half_way_is_finished_when_the_device_comes_back(
    settings: Settings, clock: SetClock, monkeypatch: pytest.MonkeyPatch, comes_back_by: str
) -> None:
    key = new_key()

    async def crash(*_: object) -> None:
        raise Unavailable

    async with served(settings, clock) as http:
        with monkeypatch.context() as cut:
            cut.setattr(EmbeddedDatabases, "create", crash)
            assert (await Device(http, key, clock=clock).register()).status_code == 503
    assert not list((settings.data_dir / "users").rglob("*.db"))
    assert [row[1] for row in tables(settings.data_dir / "master.db")["account"]] == ["creating"]
    async with served(settings, clock) as http:
        device = Device(http, key, clock=clock)
        answer = await (device.register() if "reg" in comes_back_by else device.log_in())
        assert answer.status_code == 200
        assert (await device.push(device.change())).is_success
    accounts = tables(settings.data_dir / "master.db")["account"]
    assert [(row[0], row[1]) for row in accounts] == [(device.user_id, "active")]


async def test_a_file_made_but_not_noted_is_kept_when_the_device_comes_back(
    settings: Settings, clock: SetClock
) -> None:
    key = new_key()
    async with served(settings, clock) as http:
        device = Device(http, key, clock=clock)
        (await device.register()).raise_for_status()
        (await device.push(device.change())).raise_for_status()
    execute(settings.data_dir / "master.db", "UPDATE account SET state = 'creating'")
    async with served(settings, clock) as http:
        again = Device(http, key, clock=clock)
        assert (await again.log_in()).is_success
        assert len((await again.pull_all()).items) == 1
    assert user_file(settings.data_dir, device.user_id).exists()


async def test_no_variable_of_the_environment_makes_the_framework_tell_of_requests(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FASTAPI_OTEL_AUTO_CONFIGURE", "true")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    app = create_app(Settings(data_dir=tmp_path))
    assert not app._native_telemetry.enabled()
    assert not app._native_telemetry.config["auto_configure"]
