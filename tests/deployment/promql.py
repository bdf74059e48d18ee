"""PromQL read as Prometheus reads it: which labels a query's result may have."""

from __future__ import annotations

from collections.abc import Mapping

import promql_parser as promql

# What Prometheus and its discovery in Kubernetes give to every series.
OF_TARGETS = frozenset({"namespace", "job", "instance", "pod"})

Labels = frozenset[str]
Known = Mapping[str, Labels]
"""The labels of each metric, by its name in PromQL."""


class Wrong(Exception):
    """A query names a metric or a label that does not exist, or is not PromQL."""


def metrics_in(query: str) -> set[str]:
    """The names of the metrics that a query reads."""
    return {selector.name for selector in selectors(query)}


def selectors(query: str) -> list[promql.VectorSelector]:
    """What a query reads, in its order."""
    found: list[promql.VectorSelector] = []

    def visit(part: promql.Expr) -> None:
        if isinstance(part, promql.VectorSelector):
            found.append(part)

    promql.walk(_parsed(query), visit)
    return found


def labels_of(query: str, known: Known) -> Labels:
    """The labels that the result of a query may have.

    Raises `Wrong` where a metric is unknown, or where a matcher or a grouping names a label that
    no series has there.
    """
    return _labels(_parsed(query), known) or frozenset()


def _parsed(query: str) -> promql.Expr:
    try:
        return promql.parse(query)
    except ValueError as error:
        raise Wrong(f"{query}: {error}") from error


def _labels(part: promql.Expr, known: Known) -> Labels | None:
    """None for a number, which has no labels and takes those of the other side."""
    match part:
        case promql.VectorSelector():
            if part.name not in known:
                raise Wrong(f"{part.name} is not a metric")
            named = {each.name for each in part.matchers.matchers}
            return _has(known[part.name] | OF_TARGETS, named, part)
        case promql.MatrixSelector():
            return _labels(part.vector_selector, known)
        case promql.SubqueryExpr() | promql.ParenExpr() | promql.UnaryExpr():
            return _labels(part.expr, known)
        case promql.Call():
            return _of_call(part, known)
        case promql.AggregateExpr():
            inner = _labels(part.expr, known) or frozenset()
            grouping = part.modifier
            if grouping is None:
                return frozenset()
            if grouping.type != promql.AggModifierType.By:
                raise Wrong(f"{part}: only `by` says what is left")
            _has(inner, grouping.labels, part)
            return frozenset(grouping.labels)
        case promql.BinaryExpr():
            return _of_both(part, known)
        case promql.NumberLiteral() | promql.StringLiteral():
            return None
    raise Wrong(f"{part}: {type(part).__name__} is not known here")


def _of_call(call: promql.Call, known: Known) -> Labels | None:
    of_arguments = [found for each in call.args if (found := _labels(each, known)) is not None]
    if not of_arguments:
        return frozenset() if call.func.name == "vector" else None
    return frozenset().union(*of_arguments) - ({"le"} if "quantile" in call.func.name else set())


def _of_both(binary: promql.BinaryExpr, known: Known) -> Labels | None:
    left, right = _labels(binary.lhs, known), _labels(binary.rhs, known)
    if left is None or right is None:
        return right if left is None else left
    matching = binary.modifier and binary.modifier.matching
    on = frozenset(matching.labels if matching else ())
    _has(left, on, binary)
    _has(right, on, binary)
    match str(binary.op):
        case "or":
            return left | right
        case "and" | "unless":
            return left
    card = binary.modifier.card if binary.modifier else None
    if card == promql.VectorMatchCardinality.ManyToOne:
        return left
    if card == promql.VectorMatchCardinality.OneToMany:
        return right
    return on if matching else left & right


def _has(labels: Labels, named: set[str] | frozenset[str] | list[str], part: object) -> Labels:
    if missing := set(named) - labels:
        raise Wrong(f"{part}: no series has the labels {missing}")
    return labels
