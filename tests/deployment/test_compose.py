"""compose.yaml, held against the Compose specification and against what it means to do."""

from __future__ import annotations

import json
from typing import Any

import compose_spec
import pytest
import yaml
from deployment.dockerfile import ROOT
from runstore_server.settings import Settings

SECONDS = {"s": 1, "m": 60}


@pytest.fixture
def compose() -> dict[str, Any]:
    return dict(yaml.safe_load((ROOT / "compose.yaml").read_text()))


def seconds(duration: str) -> int:
    return int(duration[:-1]) * SECONDS[duration[-1]]


def test_it_is_what_the_specification_allows(compose: dict[str, Any]) -> None:
    read = compose_spec.PyCompose.from_json(json.dumps(compose))

    assert set(read.service_names()) == {"postgres", "migrate", "server"}


def test_a_misspelt_key_would_be_noticed(compose: dict[str, Any]) -> None:
    compose["services"]["server"]["depend_on"] = compose["services"]["server"].pop("depends_on")

    with pytest.raises(ValueError, match="depend_on"):
        compose_spec.PyCompose.from_json(json.dumps(compose))


def test_the_server_waits_for_the_schema_and_the_schema_for_the_database(
    compose: dict[str, Any],
) -> None:
    migrate, server = (compose["services"][name] for name in ("migrate", "server"))

    assert migrate["command"] == ["migrate", "up"]
    assert migrate["depends_on"] == {"postgres": {"condition": "service_healthy"}}
    assert server["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}
    assert "healthcheck" in compose["services"]["postgres"]


def test_the_server_has_time_to_drain(compose: dict[str, Any]) -> None:
    given = seconds(compose["services"]["server"]["stop_grace_period"])

    assert given > 2 * Settings.model_fields["drain_seconds"].default


def test_the_service_runs_on_a_read_only_root_without_capabilities(
    compose: dict[str, Any],
) -> None:
    for name in ("migrate", "server"):
        service = compose["services"][name]
        assert service["read_only"] is True
        assert service["tmpfs"] == ["/tmp"]
        assert service["cap_drop"] == ["ALL"]


def test_every_variable_it_sets_is_a_setting(compose: dict[str, Any]) -> None:
    for name in ("migrate", "server"):
        for variable in compose["services"][name]["environment"]:
            assert variable.removeprefix("RUNSTORE_").lower() in Settings.model_fields
