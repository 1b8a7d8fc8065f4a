"""Storage: a master database and a database per user, behind one port.

`db_manager` is the process's own handle on the open databases: `await db_manager.get_user_db(id)`.
Importing this opens nothing; the application's lifespan attaches what it opened.
"""

from app.database.manager import DatabaseManager

db_manager = DatabaseManager()

__all__ = ["DatabaseManager", "db_manager"]
