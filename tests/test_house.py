"""The house keeps its rules: modules that can be read in a sitting."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = (
    "clients/python/runstore",
    "migrations/runstore_migrations",
    "server/runstore_server",
    "storage/runstore_storage",
)
ABOUT_300_LINES = 310
GENERATED = "clients/python/runstore/v1/"
# Longer than a sitting, by its path, with the reason.
LONGER: dict[str, str] = {
    "clients/python/runstore/__init__.py": "every name that users import",
    "clients/python/runstore/errors.py": "a class for each reason of the contract",
    "clients/python/runstore/verify_archive.py": "one file, which is copied and run by itself",
}


def modules() -> list[str]:
    paths = (path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
    return sorted(
        name for path in paths if not (name := str(path.relative_to(ROOT))).startswith(GENERATED)
    )


@pytest.mark.parametrize("package", PACKAGES)
def test_no_module_is_too_long_to_read_in_a_sitting(package: str) -> None:
    lengths = {
        name: len((ROOT / name).read_text().splitlines())
        for name in modules()
        if name.startswith(package)
    }

    assert lengths
    assert {name for name, lines in lengths.items() if lines > ABOUT_300_LINES} == {
        name for name in LONGER if name.startswith(package)
    }


def test_make_mutants_names_files_and_tests_that_exist() -> None:
    targets = tomllib.loads((ROOT / "tests/mutants/targets.toml").read_text())
    equivalents = tomllib.loads((ROOT / "tests/mutants/equivalents.toml").read_text())
    globs = [glob for each in targets.values() for glob in (*each["files"], *each["tests"])]
    files = [each["file"] for each in equivalents.get("equivalent", ())]

    assert [glob for glob in (*globs, *files) if not list(ROOT.glob(glob))] == []
