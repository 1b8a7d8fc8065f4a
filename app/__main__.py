"""`python -m app`: the server, on port 8000 unless told otherwise."""

import argparse

import uvicorn

from app import main as wiring
from app.http.heads import CappedHeads
from app.process import keep_memory_warm


def main() -> None:
    """Serve until interrupted. Exits with one sentence if a setting is wrong."""
    parser = argparse.ArgumentParser(prog="app", description="Echolia's server.")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", default=8000, type=int, help="port to listen on")
    arguments = parser.parse_args()
    application = wiring.app
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
        http=CappedHeads,
        timeout_graceful_shutdown=10,
    )


if __name__ == "__main__":
    main()
