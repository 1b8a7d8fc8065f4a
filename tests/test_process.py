"""What the server's process allows itself."""

import resource
import subprocess
import sys

from app.process import MAX_CONNECTIONS
from tests.kit.server import ROOT


def told(code: str) -> list[str]:
    """What a process of its own prints: these settings cannot be taken back."""
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return ran.stdout.split()


def test_no_core_is_written_and_memory_is_closed_to_others() -> None:
    code = (
        "import ctypes, resource; from app.process import keep_no_core; keep_no_core();"
        "print(resource.getrlimit(resource.RLIMIT_CORE)[0], ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))"
    )
    assert told(code) == ["0", "0"]


def test_as_many_files_are_allowed_as_connections_and_databases_need() -> None:
    code = (
        "import resource; from app.process import allow_connections;"
        "hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1];"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard));"
        "print(allow_connections(100), resource.getrlimit(resource.RLIMIT_NOFILE)[0])"
    )
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    files = 500 + MAX_CONNECTIONS if hard == resource.RLIM_INFINITY else min(hard, 10_500)
    assert told(code) == [str(files - 500), str(files)]


def test_where_few_files_are_allowed_there_are_fewer_connections() -> None:
    code = (
        "import resource; from app.process import allow_connections;"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (1024, 1024)); print(allow_connections(100))"
    )
    assert told(code) == ["524"]
