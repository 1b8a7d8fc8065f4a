"""The closed list of what may be logged: one function per event, and nothing else is ever written.

Whoever has read this module has seen everything that can reach a log line. No event takes an id
of a user, device or item, an address, a path as asked for, a message of an exception, or anything
a client sent; a request is found by the random id that its answer carries.

Lines are handed to a thread, so that a slow reader of standard output never holds up a request;
when it falls far behind, lines are dropped and counted rather than kept.
"""

import atexit
import contextlib
import logging
import os
import sys
import threading
import traceback
from collections import deque
from types import TracebackType
from typing import Any, TextIO

import orjson
import structlog

_MAX_WAITING_LINES = 10_000
_GATHER_SECONDS = 0.02
_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}


class _LineWriter:
    """Writes lines to standard output on a thread of its own; never blocks whoever logs. The
    thread is woken for many lines at once: to be woken for each would cost a request more than
    its line does."""

    def __init__(self) -> None:
        self._lines: deque[str | threading.Event] = deque()
        self._has_lines = threading.Event()
        self._in_a_hurry = threading.Event()
        self._dropped = 0
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()

    def write(self, line: str) -> None:
        if len(self._lines) < _MAX_WAITING_LINES:
            self._lines.append(line)
        else:
            self._dropped += 1
        if not self._has_lines.is_set():
            self._has_lines.set()
        if self._thread is None:
            self._start()

    def flush(self, timeout: float = 2.0) -> None:
        """Everything written so far is on the stream afterwards, or the timeout (s) has passed."""
        if self._thread is None:
            return
        reached = threading.Event()
        self._lines.append(reached)
        self._in_a_hurry.set()
        self._has_lines.set()
        reached.wait(timeout)

    def _start(self) -> None:
        with self._starting:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="log", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while True:
            self._has_lines.wait()
            self._in_a_hurry.wait(_GATHER_SECONDS)
            self._in_a_hurry.clear()
            self._has_lines.clear()  # before they are taken: what comes meanwhile wakes again
            self._take_all()

    def _take_all(self) -> None:
        while self._lines:
            line = self._lines.popleft()
            if isinstance(line, threading.Event):
                line.set()
                continue
            _write(sys.stdout, line)
            if self._dropped:
                _write(sys.stdout, self._report_of_dropped())

    def _report_of_dropped(self) -> str:
        dropped, self._dropped = self._dropped, 0
        event = {"event": "log_lines_dropped", "level": "warning", "lines": dropped}
        return orjson.dumps(event).decode()


def _write(stream: TextIO | None, line: str) -> None:
    """Nobody reads any more, or there never was a standard output: serving goes on."""
    real = sys.__stdout__
    with contextlib.suppress(OSError, ValueError):
        if real is not None and stream is real:
            _write_all(real.fileno(), f"{line}\n".encode())
        elif stream is not None:
            stream.write(f"{line}\n")
            stream.flush()


def _write_all(descriptor: int, text: bytes) -> None:
    """Past Python's buffer: a thread that waits inside it for a slow reader would hold the
    buffer's lock, and the interpreter could not end."""
    while text:
        text = text[os.write(descriptor, text) :]


_writer = _LineWriter()
atexit.register(_writer.flush)


class _QueuedLogger:
    """What structlog hands a finished line to."""

    def msg(self, line: str) -> None:
        _writer.write(line)

    debug = info = warning = error = msg


def _dumps(value: Any, **_: object) -> str:
    return orjson.dumps(value).decode()


def _configured(level: str) -> Any:
    return structlog.wrap_logger(
        _QueuedLogger(),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
            structlog.processors.JSONRenderer(serializer=_dumps),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        cache_logger_on_first_use=True,
    )


_log: Any = _configured("info")


class _LibraryHandler(logging.Handler):
    """Turns a library's log record into one event that keeps none of its words."""

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[0].__name__ if record.exc_info and record.exc_info[0] else None
        library_message(logger=record.name, severity=record.levelname.lower(), error=error)


def start(level: str) -> None:
    """Log from `level` on; libraries' own messages pass through the closed list as well."""
    global _log
    _log = _configured(level)
    handler = _LibraryHandler(logging.WARNING)
    logging.getLogger().handlers[:] = [handler]
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access", "asyncio"):
        logger = logging.getLogger(name)
        logger.handlers[:] = []
        logger.propagate = True
    logging.getLogger("uvicorn.access").disabled = True  # it prints paths and query strings


def flush() -> None:
    """Every event so far is written when this returns."""
    _writer.flush()


def frames(trace: TracebackType | None, limit: int = 12) -> list[str]:
    """Where an exception came from: file, line and function, innermost last; no values."""
    found = traceback.extract_tb(trace)[-limit:]
    return [f"{_short(frame.filename)}:{frame.lineno} {frame.name}" for frame in found]


def _short(filename: str) -> str:
    parts = filename.replace("\\", "/").split("/")
    return "/".join(parts[-2:])


# --- the events ---------------------------------------------------------------------------------


def server_started(*, version: str, environment: str, engine: str, origin: str) -> None:
    """The server takes requests."""
    _log.info(
        "server_started", version=version, environment=environment, engine=engine, origin=origin
    )


def start_refused(*, sentence: str) -> None:
    """The server did not start; the sentence, one of ours, is on standard error as well."""
    _log.error("start_refused", sentence=sentence)
    with contextlib.suppress(OSError, ValueError):
        print(sentence, file=sys.stderr, flush=True)


def start_failed(*, error: str, where: list[str]) -> None:
    """The server did not start; `error` is the exception's class."""
    _log.error("start_failed", error=error, where=where)


def server_stopped() -> None:
    """Every database is closed."""
    _log.info("server_stopped")


def secret_generated(*, setting: str) -> None:
    """A development secret was made and kept in the data folder."""
    _log.info("secret_generated", setting=setting)


def request_handled(
    *, request_id: str, method: str, route: str, status: int, milliseconds: float
) -> None:
    """An answer left; `route` is the path's template, never the path."""
    _log.info(
        "request_handled",
        request_id=request_id,
        method=method,
        route=route,
        status=status,
        milliseconds=milliseconds,
    )


def request_failed(*, request_id: str, route: str, error: str, where: list[str]) -> None:
    """A fault of ours was answered with 500; `error` is the exception's class."""
    _log.error("request_failed", request_id=request_id, route=route, error=error, where=where)


def request_late(*, request_id: str, route: str, phase: str) -> None:
    """A request was answered for at its deadline, while `working` or `reading` its body."""
    _log.warning("request_late", request_id=request_id, route=route, phase=phase)


def client_left(*, request_id: str, route: str) -> None:
    """The client closed the connection before its request or answer was complete."""
    _log.debug("client_left", request_id=request_id, route=route)


def account_created() -> None:
    """A new key opened an account."""
    _log.info("account_created")


def device_logged_in() -> None:
    """A device proved its key and got a session."""
    _log.info("device_logged_in")


def device_paired() -> None:
    """A device was added to an account by pairing."""
    _log.info("device_paired")


def device_revoked() -> None:
    """A device lost its access."""
    _log.info("device_revoked")


def recovery_set() -> None:
    """An account has a new recovery phrase."""
    _log.info("recovery_set")


def recovery_removed() -> None:
    """An account's recovery phrase was removed."""
    _log.info("recovery_removed")


def recovery_started() -> None:
    """Somebody with a recovery phrase waits while the account's devices may object."""
    _log.info("recovery_started")


def account_recovered() -> None:
    """A new device came into an account by its recovery phrase."""
    _log.info("account_recovered")


def account_deleted() -> None:
    """A device had its account deleted; nothing of it is left but a keyed hash."""
    _log.info("account_deleted")


def account_purged() -> None:
    """An account that was never written to, and not seen for 30 days, was deleted."""
    _log.info("account_purged")


def account_mended(*, devices: int) -> None:
    """The master database learnt from an account's own one: devices, revocations, or all of it."""
    _log.warning("account_mended", devices=devices)


def erasure_waits(*, deletions: int, error: str) -> None:
    """Deleted accounts whose last traces wait for the next hour; `error` is the engine's class."""
    _log.warning("erasure_waits", deletions=deletions, error=error)


def account_exported(*, lines: int) -> None:
    """An export left whole."""
    _log.info("account_exported", lines=lines)


def export_cut(*, reason: str) -> None:
    """An export ended early, and says so by having no end; `reason` is a code of ours."""
    _log.info("export_cut", reason=reason)


def session_ended(*, reason: str) -> None:
    """A token family ended before its time: `refresh_reused`, `logout`, `expired` or `revoked`."""
    _log.info("session_ended", reason=reason)


def push_accepted(*, changes: int, applied: int, conflicts: int) -> None:
    """A push is durable."""
    _log.debug("push_accepted", changes=changes, applied=applied, conflicts=conflicts)


def items_purged(*, items: int) -> None:
    """Deletions of one account that all its devices have seen were forgotten."""
    _log.info("items_purged", items=items)


def database_migrated(*, schema: str, version: int) -> None:
    """A database was brought to a newer schema."""
    _log.info("database_migrated", schema=schema, version=version)


def storage_failed(*, kind: str, error: str) -> None:
    """Storage refused or lost a unit of work; `error` is the engine's error class."""
    _log.error("storage_failed", kind=kind, error=error)


def chore_failed(*, error: str) -> None:
    """Work that comes round by itself failed this time; `error` is the exception's class."""
    _log.error("chore_failed", error=error)


def library_message(*, logger: str, severity: str, error: str | None) -> None:
    """A library logged something; its words are not kept."""
    _log.warning("library_message", logger=logger, severity=severity, error=error)
