"""The projects of docs/other-languages.md, built by their own tools, which download the rest."""

from __future__ import annotations

import shutil
import subprocess
import xml.etree.ElementTree as Xml
from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e.documents import blocks
from e2e.servers import ServerProcess

ROOT = Path(__file__).parents[2]
BLOCKS = blocks(ROOT / "docs" / "other-languages.md")
TEST_SECONDS, BUILD_SECONDS = 900, 840
RESET = "\x1b[0m"  # Maven resets the colours of what is no terminal too


def shown(language: str) -> list[str]:
    """The blocks of that language, with the contracts of this checkout."""
    mine = str(ROOT / "protos")
    return [
        text.replace("/path/to/runstore/protos", mine) for name, text in BLOCKS if name == language
    ]


@pytest.fixture
def server(database_url: str, db_schema: str, tmp_path: Path) -> Iterator[ServerProcess]:
    made = ServerProcess(
        tmp_path / "server.log",
        {"RUNSTORE_DATABASE_URL": database_url, "RUNSTORE_DB_SCHEMA": db_schema},
    )
    made.start()
    made.wait_until_serving()
    yield made
    made.stop()


def needs(program: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(not shutil.which(program), reason=f"{program} is not installed")


def written(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def printed(command: str, project: Path, server: ServerProcess) -> str:
    """What a command of the page prints in the folder of its project."""
    done = subprocess.run(
        ["bash", "-euc", command.replace("localhost:7411", server.target)],
        cwd=project,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=BUILD_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.replace(RESET, "")


@needs("mvn")
@pytest.mark.timeout(TEST_SECONDS)
def test_the_project_in_java_prints_what_is_shown(server: ServerProcess, tmp_path: Path) -> None:
    files = {"pom.xml": shown("xml")[0], "src/main/java/Agent.java": shown("java")[0]}

    assert printed(shown("sh")[0], written(tmp_path, files), server) == shown("text")[0]


@needs("mvn")
@pytest.mark.timeout(TEST_SECONDS)
def test_the_project_in_kotlin_prints_the_same(server: ServerProcess, tmp_path: Path) -> None:
    files = {"pom.xml": shown("xml")[1], "src/main/kotlin/Agent.kt": shown("kotlin")[0]}

    assert printed(shown("sh")[1], written(tmp_path, files), server) == shown("text")[0]


@needs("cargo")
@pytest.mark.timeout(TEST_SECONDS)
def test_the_project_in_rust_prints_the_same(server: ServerProcess, tmp_path: Path) -> None:
    build, main = shown("rust")
    files = {"Cargo.toml": shown("toml")[0], "build.rs": build, "src/main.rs": main}

    assert printed(shown("sh")[2], written(tmp_path, files), server) == shown("text")[0]


@needs("cmake")
@needs("grpc_cpp_plugin")
@pytest.mark.timeout(TEST_SECONDS)
def test_the_project_in_cpp_prints_the_same(server: ServerProcess, tmp_path: Path) -> None:
    files = {"CMakeLists.txt": shown("cmake")[0], "agent.cc": shown("cpp")[0]}

    assert printed(shown("sh")[3], written(tmp_path, files), server) == shown("text")[0]


def test_the_project_in_c_sharp_is_xml() -> None:
    *_, project = shown("xml")

    assert Xml.fromstring(project).tag == "Project"
