"""How the text of a statement becomes the driver's, and whose rows it may touch."""

from __future__ import annotations

import pytest
from runstore_storage.contract.scope import NoScope, Scope, bound
from runstore_storage.database.statements import system, tenant, tenants

OWN = "SELECT :b, :a, :b FROM runs WHERE project = :scope"


def test_parameters_are_numbered_in_the_order_in_which_they_first_stand() -> None:
    found = system("SELECT :b, :a, :b WHERE x = :a_1")

    assert found.sql == "SELECT $1, $2, $1 WHERE x = $3"
    assert found.parameters == ("b", "a", "a_1")


def test_only_a_name_behind_a_single_colon_is_a_parameter() -> None:
    text = "SELECT x::text, '12:30', y[1:2], :ids::bigint[], 'runs:' || :run"

    found = system(text)

    assert found.sql == "SELECT x::text, '12:30', y[1:2], $1::bigint[], 'runs:' || $2"
    assert found.parameters == ("ids", "run")


def test_values_are_sent_in_the_order_of_their_parameters() -> None:
    assert system("SELECT :b, :a, :b").arguments({"a": 1, "b": None}) == [None, 1]


@pytest.mark.parametrize("values", [{}, {"a": 1}, {"a": 1, "b": 2, "c": 3}, {"a": 1, "c": 3}])
def test_values_that_do_not_fit_the_parameters_are_refused(values: dict[str, int]) -> None:
    with pytest.raises(TypeError, match="SELECT"):
        system("SELECT :a, :b").arguments(values)


@pytest.mark.parametrize("kind", [tenant, tenants, system])
def test_a_text_is_compiled_once(kind: object) -> None:
    text = {tenant: "project = :scope", tenants: "project = new.scope", system: ":a"}[kind]

    assert kind(f"SELECT {text}") is kind(" ".join(["SELECT", text]))


def test_the_project_of_the_scope_goes_before_the_values() -> None:
    found = tenant(OWN)

    with bound(Scope("acme")):
        sent = found.arguments({"a": 1, "b": 2})

    assert found.sql == "SELECT $2, $3, $2 FROM runs WHERE project = $1"
    assert sent == ["acme", 2, 1]


def test_each_call_has_the_project_of_its_own_scope() -> None:
    with bound(Scope("acme")):
        with bound(Scope("other")):
            inside = tenant(OWN).arguments({"a": 1, "b": 2})
        outside = tenant(OWN).arguments({"a": 1, "b": 2})

    assert (inside[0], outside[0]) == ("other", "acme")


def test_without_a_scope_there_is_nothing_to_send() -> None:
    with pytest.raises(NoScope):
        tenant(OWN).arguments({"a": 1, "b": 2})


def test_no_caller_passes_the_scope() -> None:
    with bound(Scope("acme")), pytest.raises(TypeError, match="scope"):
        tenant(OWN).arguments({"a": 1, "b": 2, "scope": "other"})


@pytest.mark.parametrize(
    "text",
    [
        "SELECT 1 FROM runs WHERE run = :run",
        "SELECT :scope FROM runs",
        "SELECT 1 FROM runs WHERE project = :scopes",
        "SELECT 1 FROM runs WHERE project = :project",
        "INSERT INTO runs (project, run) VALUES (:project, :scope)",
        "INSERT INTO runs (run, project) VALUES (:scope, :project)",
    ],
)
def test_a_statement_on_the_rows_of_a_project_has_to_compare_with_the_scope(text: str) -> None:
    with pytest.raises(TypeError, match="does not compare"):
        tenant(text)


@pytest.mark.parametrize(
    "text",
    [
        "SELECT 1 FROM runs r WHERE r.project = :scope",
        "INSERT INTO runs (project, run) VALUES (:scope, :run)",
    ],
)
def test_reading_and_making_rows_of_the_scope_is_taken(text: str) -> None:
    assert tenant(text).sql.count("$1") == 1


@pytest.mark.parametrize("text", ["r.project = :scope", "r.project = asked.project"])
def test_a_statement_on_rows_of_several_calls_has_to_compare_each_with_its_scope(text: str) -> None:
    with pytest.raises(TypeError, match="does not compare"):
        tenants(f"SELECT 1 FROM runs r, unnest(:scopes::text[]) AS asked(scope) WHERE {text}")


def test_a_statement_of_the_system_names_no_scope() -> None:
    with pytest.raises(TypeError, match="no scope"):
        system(OWN)
