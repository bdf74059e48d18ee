"""docs/deploy.md tells every setting as it is."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from deployment.dockerfile import ROOT
from runstore_server.settings import Settings

PAGE = ROOT / "docs" / "deploy.md"


def rows() -> list[str]:
    """The table's lines, from the settings themselves."""
    return [
        f"| `RUNSTORE_{name.upper()}` | {shown(field.default)} | {field.description} |"
        for name, field in Settings.model_fields.items()
    ]


def shown(default: Any) -> str:
    if default is None:
        return "unset"
    text = str(default) if isinstance(default, (Path, str)) else json.dumps(default)
    return f"`{text}`"


def test_the_table_is_what_the_settings_are() -> None:
    written = re.findall(r"^\| `RUNSTORE_.*$", PAGE.read_text(), re.MULTILINE)

    assert written == rows(), "the table should be:\n" + "\n".join(rows())
