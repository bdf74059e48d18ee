"""The chart says of the service what is so; `make chart` holds it to what Kubernetes takes."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from deployment.dockerfile import ROOT, stages
from runstore_server.settings import Settings

CHART = ROOT / "deploy" / "helm" / "runstore"
EXAMPLES = sorted((CHART.parent / "values").glob("*.yaml"))
# Where a value is a tree of Kubernetes' own, the README names its root.
OPAQUE = {
    "settings",
    "resources",
    "topologySpreadConstraints",
    "migrate.resources",
    "monitoring.dashboard.labels",
}


@pytest.fixture
def values() -> dict[str, Any]:
    return dict(yaml.safe_load((CHART / "values.yaml").read_text()))


@pytest.fixture
def deployment() -> str:
    return (CHART / "templates" / "deployment.yaml").read_text()


def leaves(values: dict[str, Any], path: str = "") -> Iterator[str]:
    for name, value in values.items():
        full = f"{path}{name}"
        if isinstance(value, dict) and value and full not in OPAQUE:
            yield from leaves(value, f"{full}.")
        else:
            yield full


def test_its_settings_are_settings(values: dict[str, Any]) -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    own = schema["properties"]["settings"]["propertyNames"]["not"]["enum"]
    given = [values, *(yaml.safe_load(path.read_text()) for path in EXAMPLES)]

    for name in (*own, *(name for one in given for name in one.get("settings", {}))):
        assert name in Settings.model_fields


def test_the_settings_of_its_examples_are_valid() -> None:
    for path in EXAMPLES:
        settings = yaml.safe_load(path.read_text()).get("settings", {})
        parsed = {
            name: json.loads(value) if str(value).startswith("[") else value
            for name, value in settings.items()
        }

        assert Settings(**parsed)


def test_every_variable_the_pod_sets_is_a_setting(deployment: str) -> None:
    helpers = (CHART / "templates" / "_helpers.tpl").read_text()
    named = re.findall(r"RUNSTORE_([A-Z_]+)", deployment + helpers)

    assert named
    assert {name.lower() for name in named if name} <= set(Settings.model_fields)


def test_it_drains_as_long_as_the_service_would(values: dict[str, Any]) -> None:
    assert values["drainSeconds"] == Settings.model_fields["drain_seconds"].default


def test_its_ports_and_account_are_the_images(deployment: str) -> None:
    final = stages()[-1]
    helpers = (CHART / "templates" / "_helpers.tpl").read_text()
    uid, gid = final.one("USER").split(":")

    assert re.findall(r"containerPort: (\d+)", deployment) == final.one("EXPOSE").split()
    assert f"runAsUser: {uid}\nrunAsGroup: {gid}" in helpers


@pytest.mark.parametrize("service", ["grpc.health.v1.Health", "runstore.v1.RunService"])
def test_its_probes_ask_what_the_server_answers(deployment: str, service: str) -> None:
    """Both names are asked of a real server in tests/server/edge/test_health_and_reflection.py."""
    probed = set(re.findall(r"service: ([\w.]+)$", deployment, re.MULTILINE))

    assert service in probed
    assert len(probed) == 2


def test_with_tls_its_probes_ask_the_port_that_is_in_plain_text(deployment: str) -> None:
    asked = re.findall(
        r"(\w+)Probe:\n.*\n(?:\s+#.*\n)?.*httpGet:\n\s+path: (\S+)\n\s+port: ops", deployment
    )

    assert asked == [("startup", "/livez"), ("readiness", "/readyz"), ("liveness", "/livez")]


def test_its_readme_names_every_value_and_no_other(values: dict[str, Any]) -> None:
    text = (CHART / "README.md").read_text()
    named = re.findall(r"^\| `([\w.]+)` \|", text, re.MULTILINE)

    assert sorted(named) == sorted(leaves(values))


def test_it_is_of_this_release() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text())

    assert chart["appVersion"] == pyproject["project"]["version"]
