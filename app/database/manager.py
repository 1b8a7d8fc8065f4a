"""The process-wide handle on the databases the application has opened."""

from app.database.embedded import EmbeddedDatabases
from app.database.port import Database, Unavailable

DAY_SECONDS = 86400


class DatabaseManager:
    """Answers while an application is running; before and after, every call raises Unavailable."""

    def __init__(self) -> None:
        self._databases: EmbeddedDatabases | None = None

    def attach(self, databases: EmbeddedDatabases) -> None:
        """From now on calls go to these databases."""
        self._databases = databases

    def detach(self, databases: EmbeddedDatabases) -> None:
        """These databases are closing; another application's stay attached."""
        if self._databases is databases:
            self._databases = None

    async def get_user_db(self, user_id: str) -> Database:
        """The user's database. Its calls raise Missing if the user has none."""
        return self._attached().open(user_id)

    async def cleanup_inactive_replicas(self, days: float = 7) -> int:
        """Close user databases that were idle for `days`, leaving no WAL; how many were closed."""
        return await self._attached().close_idle(days * DAY_SECONDS)

    def _attached(self) -> EmbeddedDatabases:
        if self._databases is None:
            raise Unavailable("No application is running in this process.")
        return self._databases
