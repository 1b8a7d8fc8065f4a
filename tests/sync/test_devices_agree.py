"""Several devices of one account, any order of edits, pushes, lost answers, retries, pulls and
restarts: they come to agree with the server, and the server keeps what the protocol says."""

import asyncio
import itertools
from collections import defaultdict
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from app.config import Settings
from app.main import create_app
from tests.conftest import settings_for
from tests.kit.device import Device
from tests.kit.sync import Key, Tables, joined, knows, new_id, tables_of

Version = dict[str, Any]
Sent = dict[str, Any]
FILTERS = (None, "tags", "entries,memories")
# Two of the items share their id, in different collections.
SHARED = new_id()
KEYS: tuple[Key, ...] = (
    ("entries", SHARED),
    ("tags", SHARED),
    ("entries", new_id()),
    ("memories", new_id()),
    ("tags", new_id()),
)


class Server:
    """The application in this process, driven from plain functions; it can be restarted."""

    def __init__(self, settings: Settings, runner: asyncio.Runner) -> None:
        self.settings = settings
        self.run = runner.run
        self.http: httpx.AsyncClient
        self._stack = AsyncExitStack()

    async def start(self) -> None:
        app = create_app(self.settings)
        await self._stack.enter_async_context(app.router.lifespan_context(app))
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        self.http = await self._stack.enter_async_context(
            httpx.AsyncClient(transport=transport, base_url="http://localhost:8000")
        )

    async def stop(self) -> None:
        await self._stack.aclose()


class Client:
    """An honest device: it edits on top of all it knows, seals once, sends until answered."""

    def __init__(self, device: Device) -> None:
        self.device = device
        self.outbox: list[Sent] = []
        self.sent: list[list[Sent]] = []
        self.known: defaultdict[Key, list[dict[str, int]]] = defaultdict(list)
        self.cursors: dict[str | None, str | None] = dict.fromkeys(FILTERS)
        self.replicas: dict[str | None, dict[Key, list[Version]]] = {each: {} for each in FILTERS}

    def edit(self, key: Key, data: bytes, *, deleted: bool) -> None:
        clock: dict[str, int] = {}
        for seen in self.known[key]:
            for device_id, counter in seen.items():
                clock[device_id] = max(counter, clock.get(device_id, 0))
        clock[self.device.id] = clock.get(self.device.id, 0) + 1
        change = self.device.change(key[1], clock, data=data, collection=key[0], is_deleted=deleted)
        self.known[key] = [clock]
        self.outbox.append(change)

    def learn(self, key: Key, versions: list[Version]) -> None:
        self.known[key] = maxima([*self.known[key], *(each["vector_clock"] for each in versions)])

    async def pull(self, wanted: str | None, limit: int) -> bool:
        """One page of a filter; whether there is more."""
        params = {"limit": limit} | ({"collections": wanted} if wanted else {})
        page = (await self.device.pull(self.cursors[wanted], **params)).raise_for_status().json()
        assert len(page["changes"]) <= limit
        for change in page["changes"]:
            key = (change["collection"], change["id"])
            assert wanted is None or key[0] in wanted.split(",")
            self.replicas[wanted][key] = change["versions"]
            self.learn(key, change["versions"])
        self.cursors[wanted] = page["cursor"]
        return bool(page["has_more"])


def maxima(clocks: list[dict[str, int]]) -> list[dict[str, int]]:
    """Those that no other knows; of equal ones, one."""
    left: list[dict[str, int]] = []
    for clock in clocks:
        if not any(knows(other, clock) for other in left):
            left = [*(other for other in left if not knows(clock, other)), clock]
    return left


def key_of(change: Sent) -> Key:
    return (change["collection"], change["id"])


class Devices(RuleBasedStateMachine):
    server: Server

    @initialize()
    def begin(self) -> None:
        self.accepted: defaultdict[Key, list[Sent]] = defaultdict(list)
        self.numbers = itertools.count()
        self.clients = [Client(device) for device in self.server.run(self._account())]

    async def _account(self) -> list[Device]:
        first = Device(self.server.http)
        (await first.register()).raise_for_status()
        return [first, await joined(first), await joined(first)]

    def tables(self) -> Tables:
        device = self.clients[0].device
        return tables_of(self.server.settings.data_dir, device.user_id)

    # --- what may happen ------------------------------------------------------------------------

    @rule(
        who=st.integers(0, 2),
        what=st.lists(
            st.tuples(st.sampled_from(KEYS), st.booleans(), st.integers(1, 300)),
            min_size=1,
            max_size=4,
        ),
    )
    def edit(self, who: int, what: list[tuple[Key, bool, int]]) -> None:
        for key, deleted, size in what:
            data = f"{next(self.numbers)}".encode() * size
            self.clients[who].edit(key, data, deleted=deleted)

    @rule(
        who=st.integers(0, 2),
        count=st.integers(1, 5),
        is_answer_lost=st.booleans(),
        atomic=st.booleans(),
    )
    def push(self, who: int, count: int, is_answer_lost: bool, atomic: bool) -> None:
        client = self.clients[who]
        if client.outbox:
            self.server.run(
                self._push(client, client.outbox[:count], is_answer_lost, atomic=atomic)
            )

    @rule()
    def all_push_at_once(self) -> None:
        async def all_push() -> None:
            busy = [client for client in self.clients if client.outbox]
            await asyncio.gather(*(self._push(each, list(each.outbox), False) for each in busy))

        self.server.run(all_push())

    @rule(who=st.integers(0, 2), which=st.integers(0, 100))
    def send_an_old_push_again(self, who: int, which: int) -> None:
        client = self.clients[who]
        if not client.sent:
            return
        before = self.tables()
        changes = client.sent[which % len(client.sent)]
        answer = self.server.run(client.device.push(*changes)).raise_for_status().json()
        assert {each["verdict"] for each in answer["results"]} <= {"replayed", "stale"}
        assert self.tables() == before

    @rule(who=st.integers(0, 2), wanted=st.sampled_from(FILTERS), limit=st.integers(1, 4))
    def pull_a_page(self, who: int, wanted: str | None, limit: int) -> None:
        self.server.run(self.clients[who].pull(wanted, limit))

    @rule()
    def restart(self) -> None:
        self.server.run(self.server.stop())
        self.server.run(self.server.start())
        for client in self.clients:
            client.device.http = self.server.http

    async def _push(
        self, client: Client, changes: list[Sent], is_answer_lost: bool, *, atomic: bool = False
    ) -> None:
        answer = await client.device.push(*changes, atomic=atomic)
        if answer.status_code == 409:
            assert atomic
            assert answer.json()["code"] == "atomic_aborted"
            assert {each["verdict"] for each in answer.json()["results"]} == {"stale"}
            return
        results = answer.raise_for_status().json()["results"]
        for change, result in zip(changes, results, strict=True):
            assert (result["collection"], result["id"]) == key_of(change)
            assert result["verdict"] != "rejected", result
            if result["verdict"] in ("applied", "conflict"):
                self.accepted[key_of(change)].append(change)
        client.sent.append(changes)
        if is_answer_lost:
            return
        client.outbox = client.outbox[len(changes) :]
        for change, result in zip(changes, results, strict=True):
            client.learn(key_of(change), result.get("versions") or [])

    # --- what must hold -------------------------------------------------------------------------

    @invariant()
    def the_tables_hold_the_newest_of_all_that_was_accepted(self) -> None:
        if not hasattr(self, "accepted"):
            return
        found = self.tables()
        found.check()
        assert {
            key: as_set(each.vector_clock for each in held) for key, held in found.items.items()
        } == {
            key: as_set(maxima([each["vector_clock"] for each in changes]))
            for key, changes in self.accepted.items()
        }

    def teardown(self) -> None:
        """Every device pulls to the end of every filter, and has what the server has."""
        if not hasattr(self, "clients"):
            return
        stored = self.tables().items
        for client in self.clients:
            for wanted in FILTERS:
                while self.server.run(client.pull(wanted, 3)):
                    pass
                expected = {
                    key: as_set(each.vector_clock for each in held)
                    for key, held in stored.items()
                    if wanted is None or key[0] in wanted.split(",")
                }
                replica = client.replicas[wanted]
                assert {
                    key: as_set(each["vector_clock"] for each in versions)
                    for key, versions in replica.items()
                } == expected
        self._check_content(stored)

    def _check_content(self, stored: dict[Key, list[Any]]) -> None:
        replica = self.clients[0].replicas[None]
        for key in stored:
            sent = {
                tuple(sorted(change["vector_clock"].items())): change["encrypted_data"]
                for change in self.accepted[key]
            }
            for version in replica[key]:
                clock = tuple(sorted(version["vector_clock"].items()))
                assert version["encrypted_data"] == sent[clock]


def as_set(clocks: Any) -> set[tuple[tuple[str, int], ...]]:
    return {tuple(sorted(clock.items())) for clock in clocks}


def test_devices_agree_whatever_happens(tmp_path: Path) -> None:
    with asyncio.Runner() as runner:
        server = Server(settings_for(tmp_path, max_open_databases=2), runner)
        runner.run(server.start())
        machine = type("Bound", (Devices,), {"server": server})
        try:
            run_state_machine_as_test(
                machine,
                settings=settings(
                    max_examples=15,
                    stateful_step_count=30,
                    deadline=None,
                    suppress_health_check=list(HealthCheck),
                ),
            )
        finally:
            runner.run(server.stop())
