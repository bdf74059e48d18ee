"""How the text of a statement becomes the driver's."""

from __future__ import annotations

import pytest
from runstore_storage.database.statements import composed, statement


def test_parameters_are_numbered_in_the_order_in_which_they_first_stand() -> None:
    found = statement("SELECT :b, :a, :b WHERE x = :a_1")

    assert found.sql == "SELECT $1, $2, $1 WHERE x = $3"
    assert found.parameters == ("b", "a", "a_1")


def test_only_a_name_behind_a_single_colon_is_a_parameter() -> None:
    text = "SELECT x::text, '12:30', y[1:2], :ids::bigint[], 'runs:' || :run"

    found = statement(text)

    assert found.sql == "SELECT x::text, '12:30', y[1:2], $1::bigint[], 'runs:' || $2"
    assert found.parameters == ("ids", "run")


def test_values_are_sent_in_the_order_of_their_parameters() -> None:
    assert statement("SELECT :b, :a, :b").arguments({"a": 1, "b": None}) == [None, 1]


@pytest.mark.parametrize("values", [{}, {"a": 1}, {"a": 1, "b": 2, "c": 3}, {"a": 1, "c": 3}])
def test_values_that_do_not_fit_the_parameters_are_refused(values: dict[str, int]) -> None:
    with pytest.raises(TypeError, match="SELECT"):
        statement("SELECT :a, :b").arguments(values)


def test_a_composed_statement_is_compiled_once() -> None:
    assert composed("SELECT :a AS once") is composed(" ".join(["SELECT", ":a", "AS once"]))
