"""How values that several tables hold are spread over their columns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from runstore_storage.contract.events import Usage
from runstore_storage.contract.payloads import Payload

USAGE = ("input_tokens", "output_tokens", "cached_input_tokens", "cost_micros", "duration_us")

PayloadColumns = tuple[str | None, bytes | None, str | None]
UsageColumns = tuple[int | None, int | None, int | None, int | None, int | None]


@dataclass(frozen=True, slots=True)
class OffloadedPayload(Payload):
    """Stands for a payload kept as a blob until it is put back; empty, of the payload's kind."""

    place: tuple[int, int] = (0, 0)
    """The blob's run and number."""

    def filled(self, data: bytes) -> Payload:
        """The payload of the blob's bytes."""
        content = data.decode() if isinstance(self.content, str) else data
        return Payload(content, self.content_type)


def payload_columns(payload: Payload | None) -> PayloadColumns:
    """(json text, bytes, media type); all None without a payload."""
    if payload is None:
        return None, None, None
    if isinstance(payload.content, str):
        return payload.content, None, payload.content_type
    return None, payload.content, payload.content_type


def payload_of(json: str | None, binary: bytes | None, content_type: str | None) -> Payload | None:
    """The payload of its columns."""
    content = binary if json is None else json
    return None if content is None else Payload(content, content_type or "")


def away_columns(payload: Payload | None) -> PayloadColumns:
    """What the columns hold of a payload that is kept as a blob: its kind and media type."""
    assert payload
    return None, None if isinstance(payload.content, str) else b"", payload.content_type


def away_of(
    run: int, blob: int, binary: bytes | None, content_type: str | None
) -> OffloadedPayload:
    """What stands for a payload kept as a blob."""
    return OffloadedPayload("" if binary is None else b"", content_type or "", (run, blob))


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


def array_literal(items: Iterable[str]) -> str:
    """A text[] as Postgres writes it, so that rows with differing arrays fit one parameter."""
    quoted = (item.replace("\\", "\\\\").replace('"', '\\"') for item in items)
    return "{" + ",".join(f'"{item}"' for item in quoted) + "}"


def insert_rows(table: str, columns: Sequence[tuple[str, str]]) -> str:
    """An INSERT of any number of rows that takes one array parameter a column.

    `columns` are (name, type). Types that arrays cannot carry travel as text and are cast per row.
    """
    names = ", ".join(f'"{name}"' for name, _ in columns)
    values, rows = _rows(columns, [f":{name}" for name, _ in columns])
    return f"INSERT INTO {table} ({names}) SELECT {values} FROM {rows}"


def new_rows(columns: Sequence[tuple[str, str]], *, first: int) -> tuple[str, str]:
    """What `insert_rows` selects and from where, for a driver that numbers its parameters.

    The columns' arrays are the parameters from the `first` on; the rows are called `new`.
    """
    return _rows(columns, [f"${number}" for number in range(first, first + len(columns))])


def _rows(columns: Sequence[tuple[str, str]], parameters: Sequence[str]) -> tuple[str, str]:
    names = ", ".join(f'"{name}"' for name, _ in columns)
    values = ", ".join(
        f'CAST(new."{name}" AS {type_})' if _travels_as(type_) != type_ else f'new."{name}"'
        for name, type_ in columns
    )
    sent = ", ".join(
        f"CAST({parameter} AS {_travels_as(type_)}[])"
        for parameter, (_, type_) in zip(parameters, columns, strict=True)
    )
    return values, f"unnest({sent}) AS new({names})"


def by_column(
    columns: Sequence[tuple[str, str]], rows: Sequence[Sequence[object]]
) -> dict[str, list[object]]:
    """The parameters of `insert_rows`."""
    return {name: values for (name, _), values in zip(columns, arrays(rows), strict=True)}


def arrays(rows: Sequence[Sequence[object]]) -> list[list[object]]:
    """Rows as the arrays of their columns."""
    return [list(values) for values in zip(*rows, strict=True)]


def _travels_as(type_: str) -> str:
    return "text" if type_ in {"json", "jsonb", "text[]"} else type_
