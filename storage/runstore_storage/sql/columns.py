"""How values that several tables hold are spread over their columns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from runstore_storage.contract.events import MAX_DURATION_US, MAX_SUM, Usage
from runstore_storage.contract.payloads import Payload
from runstore_storage.database.connection import Row

USAGE = ("input_tokens", "output_tokens", "cached_input_tokens", "cost_micros", "duration_us")

_MAX_SUMS = {"duration_us": MAX_DURATION_US}

# The time that is so many microseconds after the epoch.
SINCE_EPOCH = "timestamptz 'epoch' + {}::bigint * interval '1 microsecond'"

Columns = Sequence[tuple[str, str]]
"""(name, type) of each column that rows are inserted with."""
PayloadColumns = tuple[str | None, bytes | None, str | None]
UsageColumns = tuple[int | None, int | None, int | None, int | None, int | None]


@dataclass(frozen=True, slots=True)
class OffloadedPayload(Payload):
    """Stands for an offloaded payload until it is loaded: empty, and of the payload's kind."""

    blob: tuple[int, int] = (0, 0)
    """The blob's run and number."""

    def loaded(self, content: bytes) -> Payload:
        """The payload, given the content of its blob."""
        kept = content.decode() if isinstance(self.content, str) else content
        return Payload(kept, self.content_type)


def payload_columns(payload: Payload | None) -> PayloadColumns:
    """(json text, bytes, media type); all None without a payload."""
    if payload is None:
        return None, None, None
    if isinstance(payload.content, str):
        return payload.content, None, payload.content_type
    return None, payload.content, payload.content_type


def payload_of(row: Row, name: str) -> Payload | None:
    """The payload in the three columns of a row that begin with a name."""
    return payload_from(row[f"{name}_json"], row[f"{name}_binary"], row[f"{name}_type"])


def offloaded_columns(payload: Payload | None) -> PayloadColumns:
    """What the columns hold of a payload that is kept as a blob: its kind and media type."""
    assert payload
    return None, None if isinstance(payload.content, str) else b"", payload.content_type


def stored_payload(
    run: int, json: str | None, binary: bytes | None, content_type: str | None, blob: int | None
) -> Payload | None:
    """The payload of its columns, or what stands for it where it is kept as a blob."""
    if blob is None:
        return payload_from(json, binary, content_type)
    return OffloadedPayload("" if binary is None else b"", content_type or "", (run, blob))


def payload_from(
    json: str | None, binary: bytes | None, content_type: str | None
) -> Payload | None:
    """The payload of its three columns."""
    content = binary if json is None else json
    return None if content is None else Payload(content, content_type or "")


def usage_columns(usage: Usage | None) -> UsageColumns:
    """The five figures in the order of `USAGE`; all None without usage."""
    if usage is None:
        return None, None, None, None, None
    return (
        usage.input_tokens,
        usage.output_tokens,
        usage.cached_input_tokens,
        usage.cost_micros,
        usage.duration_us,
    )


def usage_of(row: Row) -> Usage:
    """The usage in a row that has the columns of `USAGE`, all of them set."""
    return Usage(
        row["input_tokens"],
        row["output_tokens"],
        row["cached_input_tokens"],
        row["cost_micros"],
        row["duration_us"],
    )


def bounded(name: str, sum_of: str) -> str:
    """A numeric sum as a bigint: its maximum where it exceeds that, as `Usage` adds up."""
    return f"least({sum_of}, {_MAX_SUMS.get(name, MAX_SUM)})::bigint"


def array_literal(items: Iterable[str]) -> str:
    """A text[] as Postgres writes it, so that rows with differing arrays fit one parameter."""
    quoted = (item.replace("\\", "\\\\").replace('"', '\\"') for item in items)
    return "{" + ",".join(f'"{item}"' for item in quoted) + "}"


def names_of(columns: Columns) -> str:
    """The columns as INSERT lists them."""
    return ", ".join(f'"{name}"' for name, _ in columns)


def insert_rows(table: str, columns: Columns, *, prefix: str = "", overriding: str = "") -> str:
    """An INSERT of any number of rows that takes one array parameter a column."""
    return f"""
        INSERT INTO {table} ({names_of(columns)}) {overriding}
        SELECT {values_of(columns)} FROM {new_rows(columns, prefix=prefix)}
    """


def new_rows(columns: Columns, *, prefix: str = "") -> str:
    """Rows called `new`, from one array parameter a column, named as `by_column` says."""
    arrays = ", ".join(f":{prefix}{name}::{_sent_as(type_)}[]" for name, type_ in columns)
    return f"unnest({arrays}) AS new({names_of(columns)})"


def values_of(columns: Columns) -> str:
    """The values of the rows called `new`, in the types of their columns."""
    return ", ".join(
        f'new."{name}"' if _sent_as(type_) == type_ else f'new."{name}"::{type_}'
        for name, type_ in columns
    )


def by_column(
    columns: Columns, rows: Iterable[Sequence[object]], *, prefix: str = ""
) -> dict[str, list[object]]:
    """The parameters of `insert_rows`: each is named as its column behind the prefix."""
    given = zip(columns, arrays(rows) or [[] for _ in columns], strict=True)
    return {f"{prefix}{name}": values for (name, _), values in given}


def arrays(rows: Iterable[Sequence[object]]) -> list[list[object]]:
    """Rows as the arrays of their columns."""
    return [list(values) for values in zip(*rows, strict=True)]


def _sent_as(type_: str) -> str:
    """The type of a parameter's items: what arrays cannot carry is sent as text."""
    return "text" if type_ in {"json", "jsonb", "text[]"} else type_
