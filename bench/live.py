"""Streams of events: how soon other devices hear of a push, and what an idle stream costs."""

import resource
import selectors
import socket
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from bench.account import Account, register
from bench.items import batches
from bench.lanes import WrongAnswer
from bench.pairing import pair
from bench.servers import Server
from bench.wire import Connection, request

PUSHES = 200
IDLE_STREAMS = 5000
STREAMS_OF_DEVICE = 5
_CHANGE = b"event: change"
_PATIENCE_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Crowd:
    """Accounts with devices that all listen."""

    accounts: int
    devices: int


CROWDS = (Crowd(10, 20), Crowd(200, 1))


def allow_files() -> None:
    """As many open files as the system lets this process have."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def run(folder: Path) -> list[str]:
    """What was measured, a line each. Raises WrongAnswer if a push was not heard of."""
    return [*(_latency(folder, crowd) for crowd in CROWDS), _memory(folder)]


def _latency(folder: Path, crowd: Crowd) -> str:
    with tempfile.TemporaryDirectory(dir=folder) as fresh, ExitStack() as stack:
        server = stack.enter_context(Server("echolia", Path(fresh)))
        connection = Connection(server.port)
        stack.callback(connection.close)
        accounts = []
        for _ in range(crowd.accounts):
            first = register(connection)
            more = (pair(connection, first) for _ in range(crowd.devices - 1))
            accounts.append([first, *more])
        listening = [
            [stack.enter_context(_listen(server, each)) for each in devices] for devices in accounts
        ]
        everybody = [stream for streams in listening for stream in streams]
        for stream in everybody:
            _await_change(stream)
        took = []
        for number in range(PUSHES):
            place = number % crowd.accounts
            took += _heard(connection, accounts[place][0], listening[place])
        ordered = sorted(took)
        p99 = ordered[-(-len(ordered) * 99 // 100) - 1]
        return (
            f"push to other live devices, {crowd.accounts} accounts of {crowd.devices}:"
            f" p50 {median(ordered) * 1000:.1f} ms, p99 {p99 * 1000:.1f} ms"
        )


def _heard(
    connection: Connection, sender: Account, streams: Sequence[socket.socket]
) -> list[float]:
    """Seconds from the sending of a push until each stream of the account told of it."""
    body = batches(sender.device_id, 1, 1).bodies[0]
    bearer = {"Authorization": f"Bearer {sender.access_token}"}
    sent = request("POST", "/sync/push", bearer, body)
    time.sleep(0.06)  # what was told just now holds up what comes next, on purpose
    began = time.perf_counter()
    if connection.exchange(sent).status != 200:
        raise WrongAnswer("a push was refused")
    took = []
    with selectors.DefaultSelector() as waiting:
        for stream in streams:
            waiting.register(stream, selectors.EVENT_READ, stream)
        while waiting.get_map():
            ready = waiting.select(_PATIENCE_SECONDS)
            if not ready:
                raise WrongAnswer("a push was not heard of")
            for key, _ in ready:
                if _CHANGE in key.data.recv(4096):
                    took.append(time.perf_counter() - began)
                    waiting.unregister(key.data)
    return took


def _memory(folder: Path) -> str:
    with tempfile.TemporaryDirectory(dir=folder) as fresh, ExitStack() as stack:
        server = stack.enter_context(Server("echolia", Path(fresh)))
        connection = Connection(server.port)
        stack.callback(connection.close)
        accounts = [register(connection) for _ in range(IDLE_STREAMS // STREAMS_OF_DEVICE)]
        before = server.memory()
        streams = [
            stack.enter_context(_listen(server, account))
            for account in accounts
            for _ in range(STREAMS_OF_DEVICE)
        ]
        for stream in streams:
            _await_change(stream)
        after = server.memory()
        if before is None or after is None:
            return "memory of streams: not told by this system"
        each = (after.now - before.now) * 1024 / len(streams)
        return (
            f"{len(streams)} idle streams: {after.now:.0f} MiB resident in all,"
            f" {each:.1f} KiB a stream"
        )


def _listen(server: Server, account: Account) -> socket.socket:
    stream = socket.create_connection(("127.0.0.1", server.port), _PATIENCE_SECONDS)
    bearer = {"Authorization": f"Bearer {account.access_token}"}
    stream.sendall(request("GET", "/sync/events", bearer))
    return stream


def _await_change(stream: socket.socket) -> None:
    received = b""
    while _CHANGE not in received:
        part = stream.recv(4096)
        if not part:
            raise WrongAnswer(f"a stream did not begin: {received[:200]!r}")
        received += part
