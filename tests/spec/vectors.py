"""Reading the files of spec/vectors."""

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[2] / "spec" / "vectors"


def vectors(name: str) -> Any:
    """What `spec/vectors/<name>.json` holds."""
    return json.loads((FOLDER / f"{name}.json").read_text())


def name_of(entry: Any) -> str:
    """What pytest calls a case."""
    return str(entry["name"])
