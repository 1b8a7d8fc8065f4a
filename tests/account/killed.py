"""The server, killed right before or right after the n-th change it makes to the disk while an
account ends: a commit, a file that goes, a folder or a log that is synced.

python -m tests.account.killed PORT WHEN, where 0 means never; it says on standard output how many
changes there were.
"""

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

import uvicorn

from app.account.service import AccountService
from app.config import load_settings
from app.database import connection, embedded
from app.main import create_app


class Plan:
    """Counts changes while an account ends."""

    def __init__(self, when: int) -> None:
        self._when = when
        self._is_armed = False
        self.changes = 0

    def arm(self) -> None:
        self._is_armed = True

    def _point(self) -> None:
        if not self._is_armed:
            return
        self.changes += 1
        if self.changes == self._when:
            os.kill(os.getpid(), signal.SIGKILL)

    def around(self, change: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any, **named: Any) -> Any:
            self._point()
            result = change(*arguments, **named)
            self._point()
            return result

        return counted


def main() -> None:
    port, plan = int(sys.argv[1]), Plan(int(sys.argv[2]))
    for module, name in (
        (connection, "_commit"),
        (connection, "_rewrite"),
        (embedded, "_unlink_one"),
        (embedded, "_sync_folder"),
    ):
        setattr(module, name, plan.around(getattr(module, name)))
    delete = AccountService.delete

    async def deleting(self: AccountService, *arguments: Any) -> None:
        plan.arm()
        await delete(self, *arguments)
        sys.stdout.write(f"changes {plan.changes}\n")
        sys.stdout.flush()

    AccountService.delete = deleting  # type: ignore[assignment, method-assign]
    uvicorn.run(create_app(load_settings()), port=port, log_config=None)


if __name__ == "__main__":
    main()
