#!/usr/bin/env python3
"""Verify the archive of a run: a tar file that ExportRun made, or a folder with the same files.

    python verify_archive.py ARCHIVE

One file, which needs nothing but Python 3.11: copy it to where the archive is. It exits with 0 if
everything agrees, with 1 if something does not, each problem in a sentence. docs/export.md has the
format, docs/chain.md how hashes are made.
"""

from __future__ import annotations

import io
import json
import re
import sys
import zlib
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

FORMAT, VERSION = "runstore.archive", 1
MANIFEST = "manifest.json"
MOST_PROBLEMS = 100
NOT_SIGNED = "The archive is not signed: it proves as much as the last hash, kept elsewhere, does."

_ROWS = ("snapshots", "task_writes", "outputs", "artifacts", "configs", "requests")
_NAME = re.compile(
    rf"(chain|sealed)-[0-9]{{6}}\.jsonl\.gz|({'|'.join(_ROWS)})\.jsonl\.gz"
    r"|parts/[0-9a-f]{64}\.gz|objects/[0-9a-f]{64}|manifest\.json"
)
_PIECE = 1 << 20
_LAST_SEQ = 2**63 - 1
_BLOCK = 512
_BINARY = 0x80
# What reading something that is not as the format says may raise.
_MALFORMED = (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError)
_USAGE = ("input_tokens", "output_tokens", "cached_input_tokens", "cost_micros", "duration_us")
# A sum of usage that would exceed its maximum is that.
_MOST_USED = dict.fromkeys(_USAGE, 2**63 - 1) | {"duration_us": 315_576_000_000 * 1_000_000}
_NODE_PARTS = ("input_schema", "output_schema", "provenance", "state")

Row = dict[str, Any]


class Broken(Exception):
    """Something does not hold; the message says what."""


class Verified(NamedTuple):
    """What was found; `problems` is empty if everything agrees."""

    problems: list[str]
    facts: str
    """What the archive is of, in a sentence."""


# What a value has to be: of a type, a hexadecimal text, an object with these members, one with any
# names ({str: KIND}), a list ([KIND]), or one of several (a tuple).

_HEX = re.compile(r"(?:[0-9a-f]{2})*")


def _texts(names: str) -> dict[str, Any]:
    return dict.fromkeys(names.split(), str)


def _numbers(names: str) -> dict[str, Any]:
    return dict.fromkeys(names.split(), int)


_COUNTS = _numbers(" ".join(_USAGE))
_JSON, _BYTES = _texts("json content_type"), _texts("binary content_type")
_ANY_PAYLOAD = (None, _JSON, _BYTES)
_PIN = _texts("kind name digest") | _numbers("version")
_PART = {"sha256": _HEX} | _texts("kind content_type")
_EVENT = (
    _texts("event_id type node_id model tool trace_parent")
    | _numbers("seq recorded_at")
    | {"usage": (None, _COUNTS), "occurred_at": (None, int), "hash": _HEX}
)
_EVENTS = {each: _EVENT | {each: _HEX} for each in ("body", "sealed")}
_SEALED_EVENT = (
    {"seq": int, "salt": (None, _HEX), "payload": _ANY_PAYLOAD, "actor": str}
    | {"tags": [str], "subjects": [str]}
)  # fmt: skip
_ERASED_EVENT = _numbers("seq erased_at")
_RUN = (
    _texts("project run_id plan_id parent_run_id")
    | {"external_ref": (None, _texts("system id") | {"owns_status": bool})}
    | {"fork_base": (None, {"run_id": str, "seq": int})}
    | {"config_refs": [_PIN], "created_at": int, "birth": _HEX}
)
_SEALED_RUN = (
    _texts("run_id objective external_url")
    | {"salt": (None, _HEX), "plan": _ANY_PAYLOAD}
    | {"tags": [str], "labels": {str: str}, "subjects": [str]}
)
_NODE = (
    _texts("node_id kind status")
    | {"facets": [str]}
    | dict.fromkeys(_NODE_PARTS, (None, _PART))
)  # fmt: skip
_SNAPSHOT = (
    _texts("run_id namespace snapshot_id parent_snapshot_id plan_version_id")
    | _numbers("seq reason created_at")
    | {"nodes": [_NODE], "state": {str: _PART}, "pending_node_ids": [str]}
    | {"metadata": _ANY_PAYLOAD, "salt": (None, _HEX), "content_hash": _HEX}
)
_WRITE_KEY = ("run_id", "namespace", "snapshot_id", "task_id", "index")
_TASK_WRITE = (
    _texts("run_id namespace snapshot_id task_id channel")
    | {"index": int, "payload": _ANY_PAYLOAD, "seq": (None, int), "written_at": (None, int)}
    | {"salt": (None, _HEX), "body_hash": _HEX}
)
_ENDED = {"outcome": str, "output_revision": int}
_FINAL = {"namespace": str, "snapshot_id": str, "content_hash": _HEX}
_OUTPUT = (
    _texts("outcome schema_hash plan_version_id")
    | _numbers("revision completed_at")
    | dict.fromkeys(("payload", "provenance", "statistics"), _ANY_PAYLOAD)
    | {"usage": _COUNTS, "salt": (None, _HEX), "body_hash": _HEX}
)
_ARTIFACT = (
    _texts("artifact_id name type content_type url actor")
    | {"version": int, "sha256": _HEX, "size": (None, int)}
    | {"metadata": _ANY_PAYLOAD, "created_at": int}
)
_CONFIG = (
    _PIN
    | {"body": (_JSON, _BYTES), "description": str, "metadata": _ANY_PAYLOAD}
    | {"actor": str, "created_at": int}
)
_REQUEST = {"request_id": str, "salt": (None, _HEX), "body_hash": _HEX, "answer": {str: object}}
_HEAD = (
    _numbers("last_seq writer_epoch created_at updated_at")
    | {"last_hash": _HEX, "status": str, "outcome": str, "usage": _COUNTS}
    | {"completed_at": (None, int)}
)
_LINEAGE = {"run_id": str, "birth": _HEX, "last_seq": int, "has_events": bool}
_HOLD = _texts("hold_id reason") | {
    "names_run": bool,
    "placed_by": _texts("kind id issuer"),
    "placed_at": int,
}
_ENTRY = {"name": str, "sha256": _HEX, "bytes": int, "rows": (None, int)}
_MANIFEST = (
    _texts("format project run_id")
    | {"version": int, "origin": {str: str}, "head": _HEAD, "lineage": [_LINEAGE]}
    | {"configs": [_PIN], "holds": [_HOLD], "files": [_ENTRY], "sha256": _HEX}
)


def _fits(value: Any, kind: Any) -> bool:
    if isinstance(kind, tuple):
        return any(_fits(value, each) for each in kind)
    if isinstance(kind, list):
        return type(value) is list and all(_fits(each, kind[0]) for each in value)
    if isinstance(kind, re.Pattern):
        return type(value) is str and bool(kind.fullmatch(value))
    if not isinstance(kind, dict):
        return kind is object or (value is None if kind is None else type(value) is kind)
    if type(value) is not dict:
        return False
    if str in kind:
        return all(_fits(each, kind[str]) for each in value.values())
    return value.keys() == kind.keys() and all(_fits(value[name], kind[name]) for name in kind)


# Strict JSON: what exports write, in the one form in which they do.


def _whole(text: str) -> int:
    number = int(text)
    if not -(2**63) <= number < 2**63:
        raise ValueError(f"{text} is larger than numbers are")
    return number


def _no_number(text: str) -> None:
    raise ValueError(f"{text} is not a whole number")


_decode = json.JSONDecoder(
    parse_int=_whole, parse_float=_no_number, parse_constant=_no_number
).decode


def _strict(text: bytes, end: str = "\n", **form: Any) -> Row:
    """An object whose text is that of an export: a member twice, say, is not."""
    found = _decode(text.decode())
    if type(found) is not dict or (json.dumps(found, ensure_ascii=False, **form) + end) != (
        text.decode()
    ):
        raise ValueError("it is not an object in the form in which exports write it")
    return found


# Canonical texts, as docs/chain.md has them.


def canonical(*fields: Any) -> bytes:
    """The fields, each behind its length."""
    out = []
    for value in fields:
        if type(value) is str:
            data = value.encode()
        elif type(value) is int:
            data = b"%d" % value
        elif type(value) is bytes:
            data = value
        else:
            raise TypeError(f"{value!r} is neither text nor a whole number")
        out.append(len(data).to_bytes(8, "big"))
        out.append(data)
    return b"".join(out)


def digest(*fields: Any) -> bytes:
    """The SHA-256 of the fields."""
    return sha256(canonical(*fields)).digest()


def _content(payload: Row) -> tuple[str, bytes]:
    if "json" in payload:
        return "json", payload["json"].encode()
    data = b64decode(payload["binary"], validate=True)
    if b64encode(data).decode() != payload["binary"]:
        raise ValueError("a payload is not base64 as exports write it")
    return "binary", data


def _payload(payload: Row | None) -> bytes:
    if payload is None:
        return b""
    kind, content = _content(payload)
    return canonical(kind, payload["content_type"], content)


def _usage(usage: Row | None) -> bytes:
    return b"" if usage is None else canonical(*(usage[name] for name in _USAGE))


def _or_empty(value: int | None) -> Any:
    return b"" if value is None else value


def _salt(row: Row) -> bytes | None:
    return None if row["salt"] is None else bytes.fromhex(row["salt"])


def _salted(row: Row, hash_: bytes) -> str:
    """What is kept of a hash, beside the salt of the row."""
    salt = _salt(row)
    return (hash_ if salt is None else digest("salted", salt, hash_)).hex()


def _pins(refs: list[Row]) -> bytes:
    return canonical(
        *(canonical(ref["kind"], ref["name"], ref["version"], ref["digest"]) for ref in refs)
    )


def _subjects(subjects: list[str]) -> tuple[bytes, ...]:
    return (canonical(*subjects),) if subjects else ()


def _open_body(event: Row, hidden: bytes) -> bytes:
    """The hash of an event, given that of what is sealed of it."""
    return digest(
        *("event/2", event["event_id"], event["type"], event["node_id"], event["model"]),
        *(event["tool"], _usage(event["usage"]), event["trace_parent"]),
        *(_or_empty(event["occurred_at"]), hidden),
    )


def erased_body(event: Row) -> bytes:
    """The hash of an event whose content was erased; without a salt it can only be believed."""
    if "body" in event:
        return bytes.fromhex(event["body"])
    return _open_body(event, bytes.fromhex(event["sealed"]))


def event_body(event: Row, sealed: Row) -> tuple[bytes, str, bytes]:
    """The name of what an event has beside its hash, its value, and the hash of the content."""
    salt = _salt(sealed)
    usage, occurred_at = _usage(event["usage"]), _or_empty(event["occurred_at"])
    payload, tags = _payload(sealed["payload"]), canonical(*sealed["tags"])
    if salt is None:
        body = digest(
            *("event", event["event_id"], event["type"], payload, event["node_id"]),
            *(sealed["actor"], event["model"], event["tool"], tags, usage),
            *(event["trace_parent"], occurred_at, *_subjects(sealed["subjects"])),
        )
        return body, "body", body
    hidden = digest("sealed", salt, payload, sealed["actor"], tags, canonical(*sealed["subjects"]))
    return hidden, "sealed", _open_body(event, hidden)


def birth_hash(run: Row, sealed: Row) -> bytes:
    """The hash of a run as it was born; checks what the run says of its sealed part."""
    ref, base, salt = run["external_ref"], run["fork_base"], _salt(sealed)
    labels = canonical(*(canonical(*pair) for pair in sorted(sealed["labels"].items())))
    end = (base["run_id"], base["seq"]) if base else ()
    plan, tags = _payload(sealed["plan"]), canonical(*sealed["tags"])
    if salt is None:
        external = b""
        if ref:
            owns = int(ref["owns_status"])
            external = canonical(ref["system"], ref["id"], sealed["external_url"], owns)
        return digest(
            *("run", run["project"], run["run_id"], run["plan_id"], sealed["objective"], plan),
            *(run["parent_run_id"], external, _pins(run["config_refs"]), tags, labels),
            *(*end, *_subjects(sealed["subjects"])),
        )
    hidden = digest(
        *("sealed-run", salt, sealed["objective"], plan, tags, labels, sealed["external_url"]),
        canonical(*sealed["subjects"]),
    )
    if hidden.hex() != run["sealed"]:
        raise Broken(f"what is sealed of run {run['run_id']!r} is not what its birth has")
    return digest(
        *("run/2", run["project"], run["run_id"], run["plan_id"], run["parent_run_id"]),
        *((ref["system"], ref["id"]) if ref else ("", "")),
        *(_pins(run["config_refs"]), hidden, *end),
        *(("owns_status",) if ref and ref["owns_status"] else ()),
    )


def snapshot_hash(row: Row) -> bytes:
    """The hash of a snapshot, without its salt."""

    def part(of: Row | None) -> bytes:
        return b"" if of is None else bytes.fromhex(of["sha256"])

    nodes = (
        canonical(
            *(node["node_id"], node["kind"], canonical(*node["facets"]), node["status"]),
            *(part(node[name]) for name in _NODE_PARTS),
        )
        for node in row["nodes"]
    )
    state = (canonical(name, part(row["state"][name])) for name in sorted(row["state"]))
    return digest(
        *("snapshot", row["namespace"], row["snapshot_id"], row["parent_snapshot_id"]),
        *(row["seq"], row["plan_version_id"], row["reason"], canonical(*nodes)),
        *(canonical(*row["pending_node_ids"]), canonical(*state), _payload(row["metadata"])),
    )


def parts_of(row: Row) -> Iterator[str]:
    """The SHA-256 of each part of a snapshot."""
    entries = [node[name] for node in row["nodes"] for name in _NODE_PARTS]
    for entry in [*entries, *row["state"].values()]:
        if entry is not None:
            yield entry["sha256"]


def _check(row: Any, kind: Any) -> None:
    if not _fits(row, kind):
        raise ValueError("it does not have the members of its kind")


# Files: of a folder, or in a tar file.


class Files:
    """The archive's files by name. `problems` has what is wrong with how they are kept."""

    def __init__(self, path: Path) -> None:
        self.problems: list[str] = []
        self._folder = path if path.is_dir() else None
        self._found: dict[str, tuple[int, int]] = {}
        if self._folder:
            for each in sorted(path.rglob("*")):
                if not each.is_dir() or each.is_symlink():
                    self._add(each.relative_to(path).as_posix(), 0, each.lstat().st_size)
        else:
            self._tar = path.open("rb")
            try:
                self._index(path.stat().st_size)
            except Broken as error:
                self.problems.append(str(error))

    def __enter__(self) -> Files:
        return self

    def __exit__(self, *_: object) -> None:
        if not self._folder:
            self._tar.close()

    @property
    def names(self) -> list[str]:
        return list(self._found)

    def size(self, name: str) -> int:
        return self._found[name][1]

    def pieces(self, name: str) -> Iterator[bytes]:
        """The bytes of a file."""
        start, left = self._found[name]
        if self._folder:
            path = self._folder / name
            if path.is_symlink():
                raise Broken(f"{name} is a link")
            with path.open("rb") as file:
                while piece := file.read(_PIECE):
                    yield piece
            return
        while left:
            self._tar.seek(start)
            piece = self._tar.read(min(left, _PIECE))
            start, left = start + len(piece), left - len(piece)
            yield piece

    def _add(self, name: str, start: int, size: int) -> None:
        if not _NAME.fullmatch(name):
            self.problems.append(f"{name!r} is not a file of an archive")
        elif name in self._found:
            self.problems.append(f"{name} is there twice")
        else:
            self._found[name] = start, size

    def _index(self, end: int) -> None:
        """Find the files: each header, each padding and the end has to be as exports write them."""
        at = 0
        while True:
            self._tar.seek(at)
            header = self._tar.read(_BLOCK)
            if header == bytes(_BLOCK):
                break
            name, size = _named(header, at)
            self._add(name, at + _BLOCK, size)
            at += _BLOCK + size
            if at > end:
                raise Broken(f"the tar file ends within {name}")
            self._tar.seek(at)
            padding = -size % _BLOCK
            if self._tar.read(padding) != bytes(padding):
                raise Broken(f"what follows {name} in the tar file is not padding")
            at += padding
        self._tar.seek(at)
        if self._tar.read(2 * _BLOCK + 1) != bytes(2 * _BLOCK):
            raise Broken("the tar file does not end where its end is marked")


def _named(header: bytes, at: int) -> tuple[str, int]:
    """The name and size in a header, which has to be as exports write it for them."""
    try:
        name, length = header[:100].rstrip(b"\0").decode(), header[124:136]
        size = int.from_bytes(length[1:], "big") if length[0] == _BINARY else int(length[:-1], 8)
        if size < 0 or _header(name, size) != header:
            raise ValueError
    except (ValueError, IndexError):
        raise Broken(f"byte {at} of the tar file is not the beginning of a file") from None
    return name, size


def _header(name: str, size: int) -> bytes:
    length = b"%011o\0" % size if size < 8**11 else b"\x80" + size.to_bytes(11, "big")
    owned = b"0000644\0" + b"0000000\0" * 2
    before = name.encode().ljust(100, b"\0") + owned + length + b"00000000000\0"
    after = b"0" + bytes(100) + b"ustar  \0" + bytes(247)
    return before + b"%06o\0 " % sum(before + b" " * 8 + after) + after


def _unzipped(pieces: Iterator[bytes], name: str) -> Iterator[bytes]:
    """The content of a gzip file, which has to be one member and nothing else."""
    unzip = zlib.decompressobj(31)
    for piece in pieces:
        left = piece
        while left:
            if unzip.eof:
                raise Broken(f"{name} goes on after its end")
            try:
                content = unzip.decompress(left, _PIECE)
            except zlib.error as error:
                raise Broken(f"{name} is not gzip: {error}") from None
            if unzip.unused_data:
                raise Broken(f"{name} goes on after its end")
            yield content
            left = unzip.unconsumed_tail
    if not unzip.eof:
        raise Broken(f"{name} ends early")


class _Pieces(io.RawIOBase):
    """Pieces as a file, which lines are read of."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._left = b""

    def readable(self) -> bool:
        return True

    def readinto(self, into: Any) -> int:
        while not self._left:
            try:
                self._left = next(self._pieces)
            except StopIteration:
                return 0
        count = min(len(into), len(self._left))
        into[:count], self._left = self._left[:count], self._left[count:]
        return count


def _lines(files: Files, name: str) -> Iterator[tuple[int, Row]]:
    """The numbered lines of a file of rows."""
    text = io.BufferedReader(_Pieces(_unzipped(files.pieces(name), name)), _PIECE)
    number = 0
    for number, line in enumerate(text, 1):
        if not line.endswith(b"\n"):
            raise Broken(f"{name} ends within line {number}")
        try:
            row = _strict(line, separators=(",", ":"))
        except _MALFORMED:
            raise Broken(f"line {number} of {name} is not JSON as exports write it") from None
        yield number, row


# The archive.


class _Verifying:
    def __init__(self, files: Files, manifest: Row) -> None:
        self.problems: list[str] = []
        self.facts = ""
        self._files = files
        self._manifest = manifest
        self._head = manifest["head"]
        self._rows: dict[str, int] = {}
        self._pinned: list[Row] = []
        self._ended: Row | None = None
        self._erased = 0
        """What the terminal event says."""

    def check(self) -> None:
        """Check everything, as far as what precedes it holds."""
        if not self._holds(self._check_files, "the list of files"):
            return
        for name, check in (
            ("the chain", self._check_chain),
            ("snapshots.jsonl.gz", self._check_snapshots),
            ("task_writes.jsonl.gz", self._check_task_writes),
            ("outputs.jsonl.gz", self._check_outputs),
            ("artifacts.jsonl.gz", self._check_artifacts),
            ("configs.jsonl.gz", self._check_configs),
            ("requests.jsonl.gz", self._check_requests),
        ):
            self._holds(check, name)
        self._holds(self._check_counts, "the manifest")

    def _holds(self, check: Callable[[], None], what: str) -> bool:
        before = len(self.problems)
        try:
            check()
        except Broken as error:
            self.problems.append(str(error))
        except _MALFORMED as error:
            self.problems.append(f"{what} is not as the format says: {error!r}")
        return len(self.problems) == before

    def _problem(self, text: str) -> None:
        self.problems.append(text)
        if len(self.problems) >= MOST_PROBLEMS:
            raise Broken("there are more problems than are shown")

    def _check_files(self) -> None:
        """That the files are the ones of the manifest, byte for byte."""
        entries = {}
        for entry in self._manifest["files"]:
            name = entry["name"]
            if name in entries or name == MANIFEST or not _NAME.fullmatch(name):
                self._problem(f"the manifest must not name {name!r}")
            entries[name] = entry
        there = {name for name in self._files.names if name != MANIFEST}
        for name in sorted(entries.keys() - there):
            self._problem(f"{name} is missing")
        for name in sorted(there - entries.keys()):
            self._problem(f"{name} is not in the manifest")
        for kind in ("chain", "sealed"):
            numbers = sorted(name for name in entries if name.startswith(f"{kind}-"))
            if numbers != [f"{kind}-{n:06}.jsonl.gz" for n in range(1, len(numbers) + 1)]:
                self._problem(f"the {kind} files are not numbered from 1 on without gaps")
        for noun in _ROWS:
            if f"{noun}.jsonl.gz" not in entries:
                self._problem(f"the manifest does not name {noun}.jsonl.gz")
        for name in sorted(entries.keys() & there):
            self._check_file(name, entries[name])
        self._rows = {name: entry["rows"] for name, entry in entries.items()}

    def _check_file(self, name: str, entry: Row) -> None:
        if self._files.size(name) != entry["bytes"]:
            self._problem(f"{name} is not as long as the manifest says")
            return
        hashed = sha256()
        for piece in self._files.pieces(name):
            hashed.update(piece)
        if hashed.hexdigest() != entry["sha256"]:
            self._problem(f"{name} does not have the SHA-256 that the manifest says")
        elif name.startswith("objects/") and name != f"objects/{entry['sha256']}":
            self._problem(f"{name} does not have the SHA-256 that it is named after")
        elif name.startswith("parts/"):
            content = sha256()
            for piece in _unzipped(self._files.pieces(name), name):
                content.update(piece)
            if name != f"parts/{content.hexdigest()}.gz":
                self._problem(f"{name} does not hold the part that it is named after")

    def _read(self, name: str) -> Iterator[tuple[int, Row]]:
        """The lines of a file, which have to be as many as the manifest says."""
        number = 0
        for number, row in _lines(self._files, name):
            yield number, row
        if number != self._rows[name]:
            raise Broken(f"{name} has {number} rows, not {self._rows[name]} as the manifest says")

    def _table(self, noun: str, kind: Any) -> Iterator[tuple[str, Row]]:
        """The rows of a file, each with what it is called in a problem."""
        name = f"{noun}.jsonl.gz"
        for number, row in self._read(name):
            if not _fits(row, kind):
                raise Broken(f"line {number} of {name} does not have the members of its kind")
            yield f"line {number} of {name}", row

    def _pairs(self) -> Iterator[tuple[str, Row, Row]]:
        """The lines of the chain files, each beside the one of the sealed files."""
        numbers = sum(name.startswith("chain-") for name in self._rows)
        if numbers != sum(name.startswith("sealed-") for name in self._rows):
            raise Broken("there are not as many sealed files as chain files")
        for number in range(1, numbers + 1):
            chain, sealed = (f"{kind}-{number:06}.jsonl.gz" for kind in ("chain", "sealed"))
            hidden = self._read(sealed)
            for at, row in self._read(chain):
                _, beside = next(hidden, (0, None))
                if beside is None:
                    raise Broken(f"{sealed} has fewer lines than {chain}")
                yield f"line {at} of {chain}", row, beside
            if next(hidden, None):
                raise Broken(f"{sealed} has more lines than {chain}")

    def _check_chain(self) -> None:
        """That the events follow from the births, up to the head."""
        pairs = self._pairs()
        births = [self._birth(*next(pairs, ("", {}, {}))) for _ in self._manifest["lineage"]]
        entered = self._segments(births)
        link, seq = b"", 0
        own_from = (births[-1]["fork_base"] or {"seq": 0})["seq"] + 1
        used = dict.fromkeys(_USAGE, 0)
        for where, event, sealed in pairs:
            seq += 1
            link = self._enter(entered, seq, link)
            try:
                link = self._link(link, seq, event, sealed)
                if seq >= own_from and event["usage"]:
                    used = {
                        name: min(used[name] + event["usage"][name], most)
                        for name, most in _MOST_USED.items()
                    }
                if self._ended is not None:
                    self._problem(f"event {seq} comes after the terminal event")
                elif event["type"] == "run.completed":
                    self._ended = _fact(sealed["payload"])
            except _MALFORMED:
                raise Broken(f"{where} is not an event beside what is sealed of it") from None
        link = self._enter(entered, seq + 1, link)
        if seq != self._head["last_seq"]:
            self._problem(f"there are {seq} events, not {self._head['last_seq']} as the head says")
        elif link.hex() != self._head["last_hash"]:
            self._problem("the last event is not the one that the head records")
        if entered:
            self._problem("the history has a run that begins after the last event")
        if used != self._head["usage"]:
            self._problem("the head's usage is not the sum of that of the run's events")
        self._check_end()

    def _check_end(self) -> None:
        """That the head says of the run's end what the events do."""
        head, ended = self._head, self._ended
        if (head["completed_at"] is not None) != (ended is not None):
            self._problem("the head and the events do not agree on whether the run has ended")
            return
        outcome = ended["outcome"] if ended else "UNSPECIFIED"
        if head["outcome"] != outcome:
            self._problem("the head and the events do not agree on the outcome")
        statuses = {"EXTERNAL", outcome} if ended else {"EXTERNAL", "RUNNING", "PAUSED"}
        if head["status"] not in statuses - {"UNSPECIFIED"}:
            self._problem("the head's status does not follow from the outcome")

    def _birth(self, where: str, run: Row, sealed: Row) -> Row:
        _check(sealed, {"run": _SEALED_RUN})
        hidden = sealed["run"]
        _check(run, {"run": _RUN if hidden["salt"] is None else _RUN | {"sealed": _HEX}})
        born = run["run"]
        if hidden["run_id"] != born["run_id"]:
            raise Broken(f"{where} is beside what is sealed of another run")
        if birth_hash(born, hidden).hex() != born["birth"]:
            self._problem(f"run {born['run_id']!r} does not match the hash of its birth")
        if born["project"] != self._manifest["project"]:
            self._problem(f"run {born['run_id']!r} is of another project than the manifest's")
        self._pinned += [pin for pin in born["config_refs"] if pin not in self._pinned]
        return born  # type: ignore[no-any-return]  # it is JSON

    def _segments(self, births: list[Row]) -> list[tuple[int, bytes]]:
        """The births that the history is of, and the seq before which each is entered."""
        lineage: list[Row] = []
        for before, born in zip([None, *births[:-1]], births, strict=True):
            base = born["fork_base"]
            if (base and base["run_id"]) != (before and before["run_id"]):
                raise Broken(f"run {born['run_id']!r} is not a fork of the run before it")
            if base:
                # Forks of a fork may leave out what it has, but the run itself has all of its base.
                most = self._head["last_seq"] if born is births[-1] else _LAST_SEQ
                if not 0 <= base["seq"] <= most:
                    raise Broken(f"run {born['run_id']!r} begins where there is no event")
                lineage = _cut(lineage, base["seq"])
            of = {"run_id": born["run_id"], "birth": born["birth"]}
            lineage.append({**of, "last_seq": _LAST_SEQ, "has_events": True})
        if len({each["run_id"] for each in lineage}) < len(lineage):
            raise Broken("a run is twice in the lineage")
        lineage[-1]["last_seq"] = self._head["last_seq"]
        if lineage != self._manifest["lineage"]:
            raise Broken("the manifest's lineage is not that of the births")
        if births[-1]["run_id"] != self._manifest["run_id"]:
            raise Broken("the last run of the lineage is not the run of the manifest")
        found, first = [], 1
        for each in lineage:
            if each["has_events"]:
                found.append((first, bytes.fromhex(each["birth"])))
                first = each["last_seq"] + 1
        return found

    @staticmethod
    def _enter(entered: list[tuple[int, bytes]], seq: int, link: bytes) -> bytes:
        """The link before event `seq`, bound to the runs whose events begin with it."""
        while entered and entered[0][0] == seq:
            _, birth = entered.pop(0)
            link = digest("fork", link, birth) if link else birth
        return link

    def _link(self, link: bytes, seq: int, event: Row, sealed: Row) -> bytes:
        """Check an event, and return its hash."""
        if "erased_at" in sealed:
            _check(sealed, _ERASED_EVENT)
            _check(event, _EVENTS["body" if "body" in event else "sealed"])
            body, is_sealed = erased_body(event), True
            self._erased += 1
        else:
            _check(sealed, _SEALED_EVENT)
            _check(event, _EVENTS["body" if sealed["salt"] is None else "sealed"])
            value, kind, body = event_body(event, sealed)
            is_sealed = value.hex() == event[kind]
        if event["seq"] != seq or sealed["seq"] != seq:
            raise Broken(f"event {seq} is missing, or not in its place")
        if not is_sealed:
            self._problem(f"what is sealed of event {seq} is not what the chain has")
        hash_ = bytes.fromhex(event["hash"])
        if digest("link", link, seq, event["recorded_at"], body) != hash_:
            self._problem(f"event {seq}, or an event before it, does not match its hash")
        return hash_

    def _check_snapshots(self) -> None:
        parts: set[str] = set()
        final: Row = (self._ended or {}).get("final_snapshot") or {}
        named = self._manifest["run_id"], final.get("namespace"), final.get("snapshot_id")
        runs = {each["run_id"] for each in self._manifest["lineage"]}
        seen = set()
        for where, row in self._table("snapshots", _SNAPSHOT):
            names = set(parts_of(row))
            parts |= names
            if _salted(row, snapshot_hash(row)) != row["content_hash"]:
                self._problem(f"{where} does not match its hash")
            for name in sorted(names):
                if f"parts/{name}.gz" not in self._rows:
                    self._problem(f"{where} has a part that is missing: {name}")
            if row["run_id"] not in runs or row["seq"] > self._head["last_seq"]:
                self._problem(f"{where} is not of the run's history")
            key = row["run_id"], row["namespace"], row["snapshot_id"]
            if key in seen:
                self._problem(f"{where} is there twice")
            seen.add(key)
            if key == named and row["content_hash"] != final["content_hash"]:
                self._problem("the final snapshot is not what the terminal event records")
        for name in sorted(self._rows):
            if name.startswith("parts/") and name[6:-3] not in parts:
                self._problem(f"no snapshot has {name}")

    def _check_task_writes(self) -> None:
        runs = {each["run_id"] for each in self._manifest["lineage"]}
        seen = set()
        for where, row in self._table("task_writes", _TASK_WRITE):
            if row["run_id"] not in runs:
                self._problem(f"{where} is not of the run's history")
            key = tuple(row[name] for name in _WRITE_KEY)
            if key in seen:
                self._problem(f"{where} is there twice")
            seen.add(key)
            hash_ = digest("task_write", row["channel"], _payload(row["payload"]))
            if _salted(row, hash_) != row["body_hash"]:
                self._problem(f"{where} does not match its hash")

    def _check_outputs(self) -> None:
        revision = 0
        for where, row in self._table("outputs", _OUTPUT):
            revision += 1
            if row["revision"] != revision:
                self._problem(f"{where} is not revision {revision}")
            if row["usage"] != self._head["usage"]:
                self._problem(f"{where} does not have the usage that the head has")
            if self._ended and self._ended["output_revision"] == revision:
                self._check_ended(where, row)
        if (self._ended or {}).get("output_revision", 0) > revision:
            self._problem("the output that the terminal event records is missing")

    def _check_ended(self, where: str, row: Row) -> None:
        ended = self._ended or {}
        hash_ = digest(
            *("output", _payload(row["payload"]), row["schema_hash"], row["plan_version_id"]),
            *(_payload(row["provenance"]), _payload(row["statistics"])),
        )
        is_sealed = "output_sealed" in ended  # a terminal event of version 1 says nothing of it
        if row["outcome"] != ended["outcome"] or (
            is_sealed and _salted(row, hash_) != ended["output_sealed"]
        ):
            self._problem(f"{where} is not what the terminal event records")

    def _check_artifacts(self) -> None:
        objects = set()
        for where, row in self._table("artifacts", _ARTIFACT):
            if row["url"]:
                continue
            name = f"objects/{row['sha256']}"
            objects.add(name)
            if name not in self._rows:
                self._problem(f"the bytes of {where} are missing: {name}")
            elif self._files.size(name) != row["size"]:
                self._problem(f"the bytes of {where} are not as many as it says")
        for name in sorted(self._rows):
            if name.startswith("objects/") and name not in objects:
                self._problem(f"no artifact has {name}")

    def _check_configs(self) -> None:
        pinned = sorted(
            self._pinned, key=lambda pin: (pin["kind"], pin["name"], pin["version"], pin["digest"])
        )
        if pinned != self._manifest["configs"]:
            self._problem("the manifest's configs are not those that the runs are pinned to")
        for where, row in self._table("configs", _CONFIG):
            kind, content = _content(row["body"])
            found = digest("config", kind, row["body"]["content_type"], content).hex()
            if f"sha256:{found}" != row["digest"]:
                self._problem(f"{where} does not match its digest")
            if {name: row[name] for name in ("kind", "name", "version", "digest")} not in pinned:
                self._problem(f"{where} is of a config that no run is pinned to")

    def _check_requests(self) -> None:
        seen = set()
        for where, row in self._table("requests", _REQUEST):
            if row["request_id"] in seen:
                self._problem(f"{where} is there twice")
            seen.add(row["request_id"])

    def _check_counts(self) -> None:
        for name, rows in self._rows.items():
            if (rows is None) != name.startswith(("parts/", "objects/")):
                self._problem(f"the manifest says of {name} that it has {rows} rows")
        head, of = self._head, self._manifest
        erased = f", {self._erased} of them erased," if self._erased else ""
        self.facts = (
            f"run {of['run_id']!r} of project {of['project']!r}: {head['last_seq']} events"
            f"{erased} in {len(of['files']) + 1} files; the last hash is\n{head['last_hash']}"
        )


def _fact(payload: Row) -> Row:
    """What a terminal event says."""
    found = json.loads(_content(payload)[1].decode())
    _check({name: found[name] for name in _ENDED}, _ENDED)
    if "output_sealed" in found:
        _check(found["output_sealed"], _HEX)
    if "final_snapshot" in found:
        _check(found["final_snapshot"], _FINAL)
    return found  # type: ignore[no-any-return]  # it is JSON


def _cut(lineage: list[Row], seq: int) -> list[Row]:
    """What a fork has, at a seq, of the history that it begins with."""
    found, first = [], 1
    for each in lineage:
        has_events = each["has_events"] and first <= seq + 1
        last = min(each["last_seq"], seq)
        found.append({**each, "last_seq": last, "has_events": has_events})
        if each["has_events"]:
            first = each["last_seq"] + 1
    return found


def _manifest(files: Files) -> Row:
    """The manifest, whose last member is the SHA-256 of what is before it."""
    if MANIFEST not in files.names:
        raise Broken("manifest.json is missing")
    text = b"".join(files.pieces(MANIFEST))
    before, mark, after = text.rpartition(b',\n "sha256": "')
    if not mark or after != sha256(before).hexdigest().encode() + b'"\n}\n':
        raise Broken("manifest.json does not match the SHA-256 at its end")
    try:
        found = _strict(text, indent=1)
        if (found["format"], found["version"]) != (FORMAT, VERSION):
            raise Broken("manifest.json is of another format, or of a later version of it")
        _check(found, _MANIFEST)
        if not found["lineage"]:
            raise ValueError("there is no run")
    except _MALFORMED as error:
        raise Broken(f"manifest.json is not as the format says: {error!r}") from None
    return found


def verify(path: Path) -> Verified:
    """Check an archive; raise OSError if it cannot be read."""
    with Files(path) as files:
        if files.problems:
            return Verified(files.problems, "")
        try:
            manifest = _manifest(files)
        except Broken as error:
            return Verified([str(error)], "")
        verifying = _Verifying(files, manifest)
        verifying.check()
        return Verified(verifying.problems, verifying.facts)


def main(arguments: list[str]) -> int:
    """Verify the archive of the first argument; return the exit code."""
    if len(arguments) != 1:
        print("usage: verify_archive.py ARCHIVE", file=sys.stderr)
        return 2
    try:
        found = verify(Path(arguments[0]))
    except OSError as error:
        print(f"{arguments[0]} cannot be read: {error.strerror}", file=sys.stderr)
        return 4
    for problem in found.problems:
        print(problem)
    if found.problems:
        return 1
    print(found.facts)
    print(NOT_SIGNED)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
