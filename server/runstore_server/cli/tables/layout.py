"""How rows and fields are laid out in the terminal's width; in a pipe nothing is cut or wrapped."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from rich.text import Text

from runstore_server.cli.printing import console

GAP = 2
INDENT = 4
# No text is wrapped into less than this, however narrow the terminal.
NARROWEST = 24

Cell = str | Text


def limit() -> int | None:
    """The width that a person sees, or that COLUMNS says; None in a pipe."""
    return console.width if console.is_terminal or "COLUMNS" in os.environ else None


def printable(text: str) -> str:
    """The text on one line of the same length: line ends and control characters become spaces."""
    return "".join(each if each.isprintable() else " " for each in text)


def print_table(
    headings: Sequence[str],
    rows: Iterable[Sequence[Cell]],
    *,
    numbers: Collection[str] = (),
    text_width: int = 0,
) -> None:
    """Print a table if the terminal has room for it; else the rows as items.

    An item is a row's first cell and below it the others, each after its heading. With `text_width`
    the last column is free text, which a table may shorten to that; an item has all of it.
    """
    table = [[_text(cell) for cell in row] for row in rows]
    widths = _widths(headings, table)
    room = limit()
    if room is not None and text_width:
        left = room - sum(widths[:-1]) - GAP * (len(widths) - 1)
        widths[-1] = min(widths[-1], max(left, text_width))
    if room is not None and sum(widths) + GAP * (len(widths) - 1) > room:
        for row in table:
            if headings[0] in numbers:
                row[0] = Text.assemble(f"{headings[0]} ", row[0])
            _print_item(headings, row, room, has_text=text_width > 0)
        return
    heads = [Text(each, style="bold") for each in headings]
    for row in [heads, *table]:
        cells = (
            _padded(cell, width, to_right=heading in numbers)
            for heading, cell, width in zip(headings, row, widths, strict=True)
        )
        print_line(Text(" " * GAP).join(cells))


def print_fields(fields: Mapping[str, Cell]) -> None:
    """Print names and values, a line each; values that are longer go on below themselves."""
    column = max(len(name) for name in fields) + GAP
    for name, value in fields.items():
        for number, line in enumerate(wrapped(_text(value or "-"), column)):
            print_line(Text(("" if number else name).ljust(column), style="dim").append_text(line))


def print_line(line: Text) -> None:
    """Print a line as it is, without spaces at its end."""
    line.rstrip()
    console.print(line, soft_wrap=True)


def wrapped(text: Text, indent: int) -> Iterator[Text]:
    """The text in lines that fit beside an indent; words are kept whole where they can be."""
    room = limit()
    if room is None:
        yield text
    else:
        yield from text.wrap(console, max(room - indent, NARROWEST))


def _print_item(headings: Sequence[str], row: Sequence[Text], room: int, *, has_text: bool) -> None:
    first, *others = row
    first.stylize("bold")
    print_line(first)
    named = list(zip(headings[1:], others, strict=True))
    free = named.pop() if has_text else None
    line = Text()
    for heading, cell in named:
        pair = Text.assemble((f"{heading} ", "dim"), cell)
        if line and INDENT + line.cell_len + GAP + pair.cell_len > room:
            print_line(Text(" " * INDENT).append_text(line))
            line = Text()
        line = Text(" " * GAP).join((line, pair)) if line else pair
    for part in wrapped(line, INDENT) if line else ():
        print_line(Text(" " * INDENT).append_text(part))
    for part in wrapped(free[1], INDENT) if free and free[1] else ():
        print_line(Text(" " * INDENT).append_text(part))


def _widths(headings: Sequence[str], rows: Sequence[Sequence[Text]]) -> list[int]:
    return [
        max([len(heading), *(row[number].cell_len for row in rows)])
        for number, heading in enumerate(headings)
    ]


def _text(cell: Cell) -> Text:
    return cell if isinstance(cell, Text) else Text(printable(cell))


def _padded(cell: Text, width: int, *, to_right: bool) -> Text:
    cell.truncate(width, overflow="ellipsis")
    cell.align("right" if to_right else "left", width)
    return cell
