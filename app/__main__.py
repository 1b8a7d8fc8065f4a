"""`python -m app`: the server, on port 8000 unless told otherwise."""

import argparse

import uvicorn

from app import main as wiring
from app.config import Settings
from app.http.crowd import MAX_CONNECTIONS_OF_ADDRESS, Crowd
from app.http.heads import CappedHeads, heads_of
from app.process import allow_connections, keep_memory_warm, keep_no_core

KEEP_ALIVE_SECONDS = 5


def main() -> None:
    """Serve until interrupted. Exits with one sentence if a setting is wrong."""
    parser = argparse.ArgumentParser(prog="app", description="Echolia's server.")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", default=8000, type=int, help="port to listen on")
    arguments = parser.parse_args()
    application = wiring.app
    keep_no_core()
    keep_memory_warm()
    uvicorn.run(
        application,
        host=arguments.host,
        port=arguments.port,
        server_header=False,
        access_log=False,
        log_config=None,
        proxy_headers=False,
        loop="uvloop",
        http=_heads(application.state.settings),
        ws="none",
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=10,
    )


def _heads(settings: Settings) -> type[CappedHeads]:
    is_counted = settings.rate_limits == "on"
    crowd = Crowd(
        allow_connections(settings.max_open_databases),
        MAX_CONNECTIONS_OF_ADDRESS if is_counted else None,
        settings.trusted_networks,
    )
    return heads_of(crowd)


if __name__ == "__main__":
    main()
