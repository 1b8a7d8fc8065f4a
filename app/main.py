"""Wiring: settings in, application out. Importing this opens no file and reads no environment;
asking it for `app`, as uvicorn does, reads the settings and makes the application; only its
lifespan opens anything."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import cache
from typing import Any

from fastapi import FastAPI
from fastapi.telemetry import TelemetryConfig
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

from app import __version__, events, problems
from app.about.routes import router as about
from app.account.export_service import AccountExport
from app.account.routes import router as account
from app.account.service import CHORE_SECONDS, AccountService
from app.auth.accounts import Accounts
from app.auth.adoption_service import Adoption
from app.auth.deletion_service import Deletions
from app.auth.dependencies import Auth
from app.auth.newcomers import Newcomers
from app.auth.pairings import Pairings
from app.auth.proofs import Proofs, remembered_in
from app.auth.recoveries import Recoveries
from app.auth.routes import router as auth
from app.auth.server_keys import ServerKeys, load_server_keys
from app.auth.sessions import Sessions
from app.chores import repeated
from app.clock import Clock
from app.config import Settings, SettingsError, load_settings
from app.database import db_manager
from app.database.embedded import EmbeddedDatabases, FolderRefused
from app.database.port import Database, Statement
from app.errors import EcholiaError
from app.http.fixed import fixed_headers
from app.http.middleware import Skin
from app.http.openapi import describe_calls
from app.http.stopping import on_stop_signal
from app.rates.addresses import DailyHashes
from app.rates.dependencies import Door
from app.rates.limits import Limits, MemoryLimits, NoLimits
from app.signals import Signals, pairings_of
from app.sync.digests import Digests
from app.sync.export_service import ItemExport
from app.sync.housekeeping import TEND_SECONDS, Housekeeping
from app.sync.routes import router as sync
from app.sync.service import ON_OPEN, SyncService

PRIVATE_UMASK = 0o077
PAIRINGS_FORGOTTEN_SECONDS = 60
DAY_FORGOTTEN_SECONDS = 600
NO_TELEMETRY: TelemetryConfig = {
    "tracing": False,
    "metrics": False,
    "logs": False,
    "operation_spans": False,
    "auto_configure": False,
}
"""The framework's own would send paths, queries and messages of exceptions wherever variables of
the environment say; what leaves this process is in `events`."""


def create_app(settings: Settings, *, clock: Clock = time.time) -> FastAPI:
    """The application. Its lifespan opens the databases, and closes them when it ends."""
    events.start(settings.log_level)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        with _private_files():
            async with _running(app, settings, clock):
                yield

    app = FastAPI(
        title="Echolia",
        version=__version__,
        lifespan=lifespan,
        docs_url="/docs" if settings.debug else None,
        redoc_url="/redoc" if settings.debug else None,
        openapi_url="/openapi.json" if settings.debug else None,
        redirect_slashes=False,
        telemetry=NO_TELEMETRY,
    )
    app.state.settings = settings
    problems.install(app)
    for router in (sync, auth, account, about):  # in order of traffic: routes are tried in turn
        app.include_router(router)
    describe_calls(app)
    if settings.cors_origins:
        app.add_middleware(CORSMiddleware, **_cors(settings.cors_origins))
    is_https = settings.public_origin.startswith("https:")
    app.add_middleware(
        Skin,
        nonce=lambda: _nonce(app),
        failure=_failure(settings.cors_origins),
        fixed=fixed_headers(is_https=is_https, has_docs=settings.debug),
    )
    return app


@contextmanager
def _private_files() -> Iterator[None]:
    """What is made meanwhile, by whichever library, is for the owner alone."""
    before = os.umask(PRIVATE_UMASK)
    try:
        yield
    finally:
        os.umask(before)


@asynccontextmanager
async def _running(app: FastAPI, settings: Settings, clock: Clock) -> AsyncIterator[None]:
    late = _Late()
    databases = EmbeddedDatabases(
        settings.data_dir,
        max_open=settings.max_open_databases,
        on_open=late.statements_on_open,
        after_open=late.adopt,
    )
    master = await _started(databases)
    try:
        keys = await asyncio.to_thread(load_server_keys, settings)
        signals = Signals()
        app.state.master = master
        app.state.signals = signals
        limits = _limits(settings, clock)
        app.state.door = Door(limits, DailyHashes(clock), settings.trusted_networks)
        app.state.auth = _auth(master, databases, keys, settings, signals, clock, limits)
        housekeeping = Housekeeping(databases, settings, clock)
        cursor_keys = tuple(each.cursor for each in keys.all)
        app.state.sync = SyncService(settings, cursor_keys, signals, housekeeping, clock)
        app.state.housekeeping = housekeeping
        app.state.digests = Digests(cursor_keys, clock)
        late.accounts = app.state.auth.accounts
        late.adoption = Adoption(master, keys, clock)
        deletions = Deletions(master, databases, keys, clock)
        app.state.account = AccountService(deletions, databases, databases.forget_erased, signals)
        app.state.export = AccountExport(
            master,
            app.state.sync,
            ItemExport(keys.current.cursor),
            settings.public_origin,
            clock,
        )
        db_manager.attach(databases)
        events.server_started(
            version=__version__,
            environment=settings.environment,
            engine="embedded",
            origin=settings.public_origin,
        )
        forget_ended = app.state.auth.pairings.forget_ended
        with on_stop_signal(signals.close):
            async with (
                repeated(forget_ended, PAIRINGS_FORGOTTEN_SECONDS),
                repeated(late.accounts.forget_yesterday, DAY_FORGOTTEN_SECONDS),
                repeated(app.state.account.tidy, CHORE_SECONDS),
                repeated(housekeeping.tend_due, TEND_SECONDS),
            ):
                yield
        signals.close()
    finally:
        db_manager.detach(databases)
        await databases.stop()
        events.server_stopped()
        await asyncio.to_thread(events.flush)


async def _started(databases: EmbeddedDatabases) -> Database:
    """The master database. What keeps it shut is said before the server gives up: its own words
    for a lifespan that failed would not pass the closed list of events."""
    try:
        return await databases.start()
    except FolderRefused as error:
        events.start_refused(sentence=str(error))
        raise
    except Exception as error:
        where = events.frames(error.__traceback__)
        events.start_failed(error=type(error).__name__, where=where)
        raise


class _Late:
    """Storage is opened before the accounts that know what a user's database must be brought up
    to; this stands for them until then."""

    accounts: Accounts
    adoption: Adoption

    async def statements_on_open(self, user_id: str) -> Sequence[Statement]:
        return [*ON_OPEN, *await self.accounts.statements_on_open(user_id)]

    async def adopt(self, user_id: str, own: Database) -> None:
        await self.adoption.adopt(user_id, own)


def _limits(settings: Settings, clock: Clock) -> Limits:
    """Buckets fill by a clock that nobody sets back, unless a clock was given to go by."""
    if settings.rate_limits == "off":
        return NoLimits()
    return MemoryLimits(time.monotonic if clock is time.time else clock)


def _auth(
    master: Database,
    databases: EmbeddedDatabases,
    keys: ServerKeys,
    settings: Settings,
    signals: Signals,
    clock: Clock,
    limits: Limits,
) -> Auth:
    proofs = Proofs(keys, clock, remembered_in(master))
    wake = _wake(signals)
    sessions = Sessions(databases, keys, proofs, settings, clock, limits, on_ended=wake)
    newcomers = Newcomers(
        limits,
        keys,
        clock,
        bits=settings.registration_pow_bits,
        is_counted=settings.rate_limits == "on",
    )
    accounts = Accounts(
        master,
        databases,
        sessions,
        keys,
        clock,
        limits,
        newcomers,
        registration_open=settings.registration_open,
        on_revoked=wake,
    )
    pairings = Pairings(
        master,
        databases,
        sessions,
        proofs,
        signals,
        clock,
        limits,
        max_devices=settings.max_devices,
    )
    recoveries = Recoveries(master, databases, sessions, keys, clock)
    return Auth(sessions, accounts, pairings, proofs, recoveries)


def _wake(signals: Signals) -> Callable[[str, str], None]:
    """The one place where the end of a device, or of one of its sessions, is announced: whatever it
    waits for, it must look up and find that it is out."""

    def on_ended(user_id: str, _device_id: str) -> None:
        signals.notify(user_id)
        signals.notify(pairings_of(user_id))

    return on_ended


def _cors(origins: Sequence[str]) -> Mapping[str, Any]:
    return {
        "allow_origins": list(origins),
        "allow_methods": ["GET", "POST", "PUT", "DELETE"],
        "allow_headers": ["Authorization", "Content-Type", "DPoP"],
        "expose_headers": ["Date", "DPoP-Nonce", "Retry-After", "X-Request-Id"],
        "max_age": 600,
    }


def _failure(origins: Sequence[str]) -> Callable[[EcholiaError], ASGIApp]:
    """Answers for what goes wrong outside the routes; web pages may read them too."""

    def answer(error: EcholiaError) -> ASGIApp:
        rendered = problems.render(error)
        return CORSMiddleware(rendered, **_cors(origins)) if origins else rendered

    return answer


def _nonce(app: FastAPI) -> str:
    running: Auth = app.state.auth
    return running.proofs.nonces.issue()


@cache
def _default_app() -> FastAPI:
    try:
        return create_app(load_settings())
    except SettingsError as error:
        raise SystemExit(str(error)) from None


def __getattr__(name: str) -> FastAPI:
    if name == "app":
        return _default_app()
    raise AttributeError(name)
