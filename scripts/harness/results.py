"""A folder of results, whose files are the memory of a measurement: what is in it is not measured again.

<folder>/settings.json      what all results in it have in common
        /<key>.json         one finished case
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from revseg.runs.atomic import replacing

Record = dict[str, Any]


class Results:
    """The finished cases of one folder, by key."""

    def __init__(self, folder: Path, settings: Record, remedy: str = "choose another --output", fresh: bool = False) -> None:
        """Raises ValueError if the folder holds results of other settings. fresh: forgets what is there."""
        self.folder, self.settings = folder, settings
        if fresh:
            shutil.rmtree(folder, ignore_errors=True)
        path = folder / "settings.json"
        before = json.loads(path.read_text(encoding="utf-8")) if path.exists() else settings
        changed = [name for name in settings if before.get(name) != settings[name]]
        if changed:
            name = changed[0]
            raise ValueError(f"{folder} holds results with {name}={before.get(name)}, not {settings[name]}: {remedy}")
        if not path.exists():
            write_json(path, settings)

    def get(self, key: str) -> Record | None:
        path = self.folder / f"{key}.json"
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None

    def keep(self, key: str, measured: Record) -> None:
        command = shlex.join(["python", f"scripts/{Path(sys.argv[0]).name}", *sys.argv[1:]])
        date = datetime.now(UTC).isoformat(timespec="seconds")
        write_json(self.folder / f"{key}.json", measured | {"date": date, "command": command})

    def records(self, pattern: str) -> dict[str, Record]:
        """Returns the finished cases whose keys match a pattern, by key, in the order of their keys (2 before 10)."""
        found = {path.relative_to(self.folder).with_suffix("").as_posix(): path for path in self.folder.glob(f"{pattern}.json")}
        return {
            key: json.loads(found[key].read_text(encoding="utf-8"))
            for key in sorted(found, key=lambda key: [part.zfill(9) for part in re.split(r"(\d+)", key)])
        }


def write_json(path: Path, content: Record) -> None:
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
