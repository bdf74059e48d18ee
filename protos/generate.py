"""Stubs from the contracts, and the checks that guard both.

    python protos/generate.py generate    write the stubs
    python protos/generate.py fresh       are the stubs what the contracts make of them?
    python protos/generate.py lint        buf's STANDARD and COMMENTS rules
    python protos/generate.py breaking    nothing that clients rely on changed since main

The compiler is an old one, of an environment of its own (requirements-stubs.in says why); this
program runs there, and finds buf and mypy-protobuf on the path. buf takes a compiled image, so the
imported Google contracts come from the packages that ship them.
"""

from __future__ import annotations

import filecmp
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import google.rpc.status_pb2
import grpc_tools
from grpc_tools import protoc

PROTOS = Path(__file__).parent
ROOT = PROTOS.parent
STUBS = ROOT / "clients" / "python"
PACKAGE = Path("runstore/v1")
MAIN_REFS = ("origin/main", "main")
_GOOGLE_RPC = Path(google.rpc.status_pb2.__file__).parents[2]
_WELL_KNOWN = Path(grpc_tools.__file__).parent / "_proto"


def generate(target: Path = STUBS) -> str | None:
    (target / PACKAGE).mkdir(parents=True, exist_ok=True)
    for stale in (target / PACKAGE).glob("*_pb2*"):
        stale.unlink()
    (target / PACKAGE / "__init__.py").touch()
    return _protoc(
        PROTOS,
        f"--python_out={target}",
        f"--grpc_python_out={target}",
        f"--mypy_out=quiet:{target}",
        f"--mypy_grpc_out=quiet:{target}",
    )


def fresh() -> str | None:
    with tempfile.TemporaryDirectory() as folder:
        if failure := generate(Path(folder)):
            return failure
        made, committed = Path(folder) / PACKAGE, STUBS / PACKAGE
        names = {path.name for place in (made, committed) for path in place.glob("*.py*")}
        _, differing, missing = filecmp.cmpfiles(made, committed, names, shallow=False)
    stale = sorted(differing + missing)
    return f"stale stubs, run make stubs: {', '.join(stale)}" if stale else None


def lint() -> str | None:
    with tempfile.TemporaryDirectory() as folder:
        image = Path(folder) / "image.binpb"
        return _image(PROTOS, image) or _buf("lint", image)


def breaking() -> str | None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        before = _protos_of_main(folder / "before")
        if before is None:
            print("main has no contracts yet")  # noqa: T201 - a command line
            return None
        old, new = folder / "old.binpb", folder / "new.binpb"
        return (
            _image(before, old)
            or _image(PROTOS, new)
            or _buf("breaking", new, "--against", str(old), "--exclude-imports")
        )


def _protos_of_main(target: Path) -> Path | None:
    for ref in MAIN_REFS:
        archive = subprocess.run(
            ["git", "archive", ref, "protos/runstore"],  # noqa: S607 - the environment's git
            cwd=ROOT,
            capture_output=True,
            check=False,
        )
        if archive.returncode == 0:
            target.mkdir()
            subprocess.run(["tar", "-x", "-C", target], input=archive.stdout, check=True)  # noqa: S607 - the system's tar
            return target / "protos"
    return None


def _image(protos: Path, image: Path) -> str | None:
    return _protoc(
        protos, "--include_imports", "--include_source_info", f"--descriptor_set_out={image}"
    )


def _protoc(protos: Path, *outputs: str) -> str | None:
    files = sorted(str(path.relative_to(protos)) for path in (protos / PACKAGE).glob("*.proto"))
    includes = [f"-I{path}" for path in (protos, _GOOGLE_RPC, _WELL_KNOWN)]
    return "protoc failed" if protoc.main(["protoc", *includes, *outputs, *files]) else None


def _buf(command: str, image: Path, *options: str) -> str | None:
    done = subprocess.run(
        ["buf", command, str(image), "--config", str(PROTOS / "buf.yaml"), *options],  # noqa: S607 - the environment's buf
        check=False,
    )
    return f"buf {command} found something" if done.returncode else None


COMMANDS = {"generate": generate, "fresh": fresh, "lint": lint, "breaking": breaking}


def main(arguments: Sequence[str]) -> str | None:
    """None when all is well, otherwise what to say."""
    match arguments:
        case [name] if name in COMMANDS:
            return COMMANDS[name]()
        case _:
            return __doc__


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
