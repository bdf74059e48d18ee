"""The changes that are tried: Cosmic Ray's own that fit this code, and ours.

Ours are what faults here have been: a step left out, two steps in the other order, an argument not
passed on, a condition of a statement that does not hold.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import parso
from cosmic_ray.operators.operator import Operator
from cosmic_ray.operators.provider import OperatorProvider

Position = tuple[tuple[int, int], tuple[int, int]]

_FROM_COSMIC_RAY = (
    "AddNot",
    "ExceptionReplacer",
    "NumberReplacer",
    "RemoveDecorator",
    "ReplaceAndWithOr",
    "ReplaceBreakWithContinue",
    "ReplaceContinueWithBreak",
    "ReplaceFalseWithTrue",
    "ReplaceOrWithAnd",
    "ReplaceTrueWithFalse",
    "ReplaceUnaryOperator_Delete_Not",
    "ZeroIterationForLoop",
    "ReplaceBinaryOperator_Add_Sub",
    "ReplaceBinaryOperator_Mul_Add",
    "ReplaceBinaryOperator_Sub_Add",
    "ReplaceComparisonOperator_Eq_NotEq",
    "ReplaceComparisonOperator_GtE_Gt",
    "ReplaceComparisonOperator_GtE_Lt",
    "ReplaceComparisonOperator_Gt_GtE",
    "ReplaceComparisonOperator_Gt_LtE",
    "ReplaceComparisonOperator_IsNot_Is",
    "ReplaceComparisonOperator_Is_IsNot",
    "ReplaceComparisonOperator_LtE_Gt",
    "ReplaceComparisonOperator_LtE_Lt",
    "ReplaceComparisonOperator_Lt_GtE",
    "ReplaceComparisonOperator_Lt_LtE",
    "ReplaceComparisonOperator_NotEq_Eq",
)
_STATE = re.compile(r"\b(await|mark|wake|yield|self\.\w+ =)")
_IS_SQL = re.compile(r"\b(SELECT|UPDATE|INSERT|DELETE|WHERE|ORDER BY|RETURNING|JOIN)\b")
_SQL = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"\bFOR (NO KEY )?UPDATE( OF \w+)?", ""),
        (r"(?<!\w )(?<!BETWEEN )\bAND\b", "OR"),
        (r"(?<=\w )\bAND\b(?! [\w.:]+\s*(\)|$|RETURNING))", "OR"),
        (r"\bOR\b(?! REPLACE)", "AND"),
        (r"(?<![<>=@&-])<(?![=>@])", "<="),
        (r"(?<![<>=@&-])>(?![=>])", ">="),
        (r"<=", "<"),
        (r">=", ">"),
        (r"\bNOT EXISTS\b", "EXISTS"),
        (r"(?<!NOT )\bEXISTS\b", "NOT EXISTS"),
        (r"\bIS NOT NULL\b", "IS NULL"),
        (r"\bIS NULL\b", "IS NOT NULL"),
        (r"\bDISTINCT\b", ""),
        (r"\bDESC\b", ""),
        (r"\bORDER BY ([\w.]+)\b(?!,| DESC)", r"ORDER BY \1 DESC"),
        (r"\bLEFT JOIN\b", "JOIN"),
        (r"\bmin\(", "max("),
        (r"\bmax\(", "min("),
        (r"\bgreatest\(", "least("),
        (r" [+-] 1\b", ""),
        (r" \+ (?!1\b)", " - "),
        (r"\btrue\b", "false"),
        (r"\bfalse\b", "true"),
    )
)


class _Change(Operator):  # type: ignore[misc] # Cosmic Ray has no types
    """A kind of change, by the places in a node where it can be made."""

    @classmethod
    def examples(cls) -> tuple[()]:
        return ()

    def mutation_positions(self, node: Any) -> Iterator[Position]:
        for _ in self.places(node):
            yield node.start_pos, node.end_pos

    def mutate(self, node: Any, index: int) -> Any:
        place = list(self.places(node))[index]
        return self.changed(node, place)

    def places(self, node: Any) -> Iterator[Any]:
        raise NotImplementedError

    def changed(self, node: Any, place: Any) -> Any:
        raise NotImplementedError


class LeaveOutStatement(_Change):
    """A call whose result is not used, or an assignment to an attribute, does not happen."""

    def places(self, node: Any) -> Iterator[Any]:
        if node.type != "simple_stmt":
            return
        done = node.children[0]
        is_call = done.type in {"atom_expr", "power"} and done.get_code().rstrip().endswith(")")
        is_change = done.type == "expr_stmt" and "." in done.children[0].get_code()
        is_sum = done.type == "expr_stmt" and done.children[1].get_code().strip() in {"+=", "-="}
        if is_call or is_change or is_sum:
            yield 0

    def changed(self, node: Any, place: Any) -> Any:
        return parso.parse(f"{node.get_first_leaf().prefix}pass\n")


class SwapStatements(_Change):
    """Two steps, of which one waits or marks, happen in the other order."""

    def places(self, node: Any) -> Iterator[Any]:
        if node.type not in {"suite", "file_input"}:
            return
        steps = node.children
        for index in range(len(steps) - 1):
            first, second = steps[index : index + 2]
            if {first.type, second.type} != {"simple_stmt"}:
                continue
            if second.children[0].type in {"return_stmt", "raise_stmt", "keyword"}:
                continue
            if first.children[0].type == "string" or not _STATE.search(_code(first, second)):
                continue
            if not set(_assigned(first)) & _names(second):
                yield index

    def changed(self, node: Any, place: Any) -> Any:
        steps = node.children
        steps[place : place + 2] = steps[place + 1], steps[place]
        return node


class LeaveOutItem(_Change):
    """A keyword argument is not passed on, or a list, tuple, dict or hash lacks an item."""

    def places(self, node: Any) -> Iterator[Any]:
        if node.type in {"arglist", "trailer"}:
            for index, child in enumerate(node.children):
                if child.type == "argument" and child.children[1].get_code().strip() == "=":
                    yield slice(index, index + 1)
        if node.type == "arglist" and _is_hashed(node):
            for index, child in enumerate(node.children):
                if not _is_comma(child):
                    yield slice(index, index + 1)
        if node.type in {"testlist_comp", "dictorsetmaker"}:
            commas = [index for index, child in enumerate(node.children) if _is_comma(child)]
            ends = [*commas, len(node.children)]
            begins = [0, *(index + 1 for index in commas)]
            items = [slice(*each) for each in zip(begins, ends, strict=True) if each[0] < each[1]]
            if len(items) > 1:  # an empty node has no place
                yield from items

    def changed(self, node: Any, place: Any) -> Any:
        del node.children[place]
        if place.start < len(node.children) and _is_comma(node.children[place.start]):
            del node.children[place.start]
        return node


class ChangeStatement(_Change):
    """A lock, a condition, a bound or an order of an SQL statement is another."""

    def places(self, node: Any) -> Iterator[Any]:
        if node.type in {"string", "fstring_string"} and _IS_SQL.search(node.value):
            for pattern, replacement in _SQL:
                for found in pattern.finditer(node.value):
                    yield found, replacement

    def changed(self, node: Any, place: Any) -> Any:
        found, replacement = place
        text = node.value
        node.value = text[: found.start()] + found.expand(replacement) + text[found.end() :]
        return node


def _is_hashed(node: Any) -> bool:
    """Whether these arguments are the fields of a hash, which takes any number of them."""
    called = node.parent.get_previous_sibling()
    return called is not None and called.get_code().strip(" .") in {"canonical", "digest"}


def _is_comma(node: Any) -> bool:
    return bool(node.type == "operator" and node.value == ",")


def _code(*nodes: Any) -> str:
    return "".join(node.get_code() for node in nodes)


def _names(node: Any) -> set[str]:
    return set(re.findall(r"\w+", node.get_code()))


def _assigned(node: Any) -> Iterator[str]:
    """The names that a statement gives a value to."""
    done = node.children[0]
    if done.type == "expr_stmt":
        for name in done.get_defined_names():
            yield name.value


CHANGES: Mapping[str, Operator] = {
    **{name: OperatorProvider()[name]() for name in _FROM_COSMIC_RAY},
    **{
        kind.__name__: kind()
        for kind in (LeaveOutStatement, LeaveOutItem, SwapStatements, ChangeStatement)
    },
}
"""Each kind of change, by its name."""
