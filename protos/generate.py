"""Stubs from the contracts, and the checks that guard both.

    python protos/generate.py generate    write the stubs, and what reflection serves
    python protos/generate.py fresh       are these what the contracts make of them?
    python protos/generate.py generate-go, fresh-go
                                          the same for Go's stubs; these two need Go
    python protos/generate.py lint        buf's STANDARD and COMMENTS rules
    python protos/generate.py breaking    nothing that clients rely on changed since main
    python protos/generate.py generate-typescript | fresh-typescript    the same for TypeScript

The compiler is an old one, of an environment of its own (requirements-stubs.in says why); this
program runs there, and finds buf and mypy-protobuf on the path.
"""

from __future__ import annotations

import filecmp
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import grpc_tools
from grpc_tools import protoc

PROTOS = Path(__file__).parent
ROOT = PROTOS.parent
STUBS = ROOT / "clients" / "python"
# The contracts with their comments, as reflection serves them.
DESCRIPTORS = ROOT / "server" / "runstore_server" / "edge" / "contracts.binpb"
TYPESCRIPT = ROOT / "clients" / "typescript"
PACKAGE = Path("runstore/v1")
GO = ROOT / "clients" / "go"
GO_STUBS = GO / "v1"
GO_MODULE = "github.com/runstore/runstore/clients/go"
GO_PLUGINS = {
    "protoc-gen-go": "google.golang.org/protobuf/cmd/protoc-gen-go",
    "protoc-gen-go-grpc": "google.golang.org/grpc/cmd/protoc-gen-go-grpc",
}
MAIN_REFS = ("origin/main", "main")
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


def generate_go(target: Path = GO_STUBS) -> str | None:
    """Write Go's stubs."""
    target.mkdir(parents=True, exist_ok=True)
    for stale in target.glob("*.pb.go"):
        stale.unlink()
    with tempfile.TemporaryDirectory() as folder:
        _build_go_plugins(Path(folder))
        return _protoc(
            PROTOS,
            *(f"--plugin={name}={Path(folder) / name}" for name in GO_PLUGINS),
            *(f"--{kind}_out=module={GO_MODULE}/v1:{target}" for kind in ("go", "go-grpc")),
        )


def _build_go_plugins(folder: Path) -> None:
    # In the versions of clients/go/tools/go.mod.
    subprocess.run(
        ["go", "build", "-o", f"{folder}{os.sep}", *GO_PLUGINS.values()],  # noqa: S607 - the environment's go
        cwd=GO / "tools",
        check=True,
    )


def describe(target: Path = DESCRIPTORS.parent) -> str | None:
    """Write the descriptors of the contracts, comments included."""
    return _protoc(
        PROTOS, "--include_source_info", f"--descriptor_set_out={target / DESCRIPTORS.name}"
    )


def fresh() -> str | None:
    return _differences(generate, STUBS, PACKAGE, "*.py*", "stubs") or _differences(
        describe, DESCRIPTORS.parent, Path(), DESCRIPTORS.name, "stubs"
    )


def fresh_go() -> str | None:
    return _differences(generate_go, GO_STUBS, Path(), "*.pb.go", "stubs")


def _differences(
    make: Callable[[Path], str | None], stubs: Path, package: Path, pattern: str, target: str
) -> str | None:
    with tempfile.TemporaryDirectory() as folder:
        if failure := make(Path(folder)):
            return failure
        made, committed = Path(folder) / package, stubs / package
        names = {path.name for place in (made, committed) for path in place.glob(pattern)}
        _, differing, missing = filecmp.cmpfiles(made, committed, names, shallow=False)
    stale = sorted(differing + missing)
    return f"stale stubs, run make {target}: {', '.join(stale)}" if stale else None


def generate_typescript(target: Path = TYPESCRIPT / "src" / "gen") -> str | None:
    plugin = TYPESCRIPT / "node_modules" / ".bin" / "protoc-gen-es"
    if not plugin.exists():
        return f"{plugin} is missing: run npm ci in {TYPESCRIPT}"
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    return _protoc(
        PROTOS,
        f"-I{TYPESCRIPT / 'protos'}",
        f"--plugin=protoc-gen-es={plugin}",
        f"--es_out={target}",
        "--es_opt=target=ts,import_extension=js",
        # What statuses are made of, and the standard health service.
        "google/rpc/status.proto",
        "google/rpc/error_details.proto",
        "grpc/health/v1/health.proto",
    )


def fresh_typescript() -> str | None:
    committed = TYPESCRIPT / "src" / "gen"
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "gen"
        if failure := generate_typescript(made):
            return failure
        names = {
            path.relative_to(place) for place in (made, committed) for path in place.rglob("*.ts")
        }
        _, differing, missing = filecmp.cmpfiles(made, committed, map(str, names), shallow=False)
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
    # Main's contracts import what is vendored here.
    includes = [f"-I{path}" for path in (protos, PROTOS, _WELL_KNOWN)]
    return "protoc failed" if protoc.main(["protoc", *includes, *outputs, *files]) else None


def _buf(command: str, image: Path, *options: str) -> str | None:
    done = subprocess.run(
        ["buf", command, str(image), "--config", str(PROTOS / "buf.yaml"), *options],  # noqa: S607 - the environment's buf
        check=False,
    )
    return f"buf {command} found something" if done.returncode else None


COMMANDS = {
    "generate": lambda: generate() or describe(),
    "fresh": fresh,
    "generate-go": generate_go,
    "fresh-go": fresh_go,
    "generate-typescript": generate_typescript,
    "fresh-typescript": fresh_typescript,
    "lint": lint,
    "breaking": breaking,
}


def main(arguments: Sequence[str]) -> str | None:
    """None when all is well, otherwise what to say."""
    match arguments:
        case [name] if name in COMMANDS:
            return COMMANDS[name]()
        case _:
            return __doc__


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
