"""Programs of the distribution that stand between clients, servers and databases."""

from __future__ import annotations

import os
import shutil

import pytest

# Packages put daemons where only root looks.
FOLDERS = "/usr/sbin:/usr/bin:/sbin:/bin"


def installed(name: str) -> str:
    """The program's path. Without it the test is skipped; `TEST_REQUIRE_FIELD` makes it fail."""
    found = shutil.which(name) or shutil.which(name, path=FOLDERS)
    if found:
        return found
    missing = f"{name} is not installed: run tests/tools/install-field-programs"
    if os.environ.get("TEST_REQUIRE_FIELD"):
        pytest.fail(missing)
    pytest.skip(missing)
