"""Check that Kubernetes accepts the chart.

    python deploy/helm/check.py HELM

For each file in values/ and each release of Kubernetes: helm's strict lint, and every field of
every rendered object against that release's own schemas, where an unknown field is an error. Then
what the schemas cannot know: that selectors match labels, that pods have time to drain, that alerts
and board are those of deploy/monitoring, that wrong values are refused. Prints what is wrong and
exits with 1.
"""

import itertools
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import kubernetes_validate
import yaml

FOLDER = Path(__file__).parent
CHART = FOLDER / "runstore"
VALUES = sorted((FOLDER / "values").glob("*.yaml"))
# The oldest that the chart allows, and the newest that there are schemas for.
RELEASES = ("1.27.0", kubernetes_validate.latest_version())
LINT = ("lint", "--strict", "--quiet")
TEMPLATE = ("template", "runs")
LONGEST_NAME = 63
EXPONENT = re.compile(r"\de\+\d")
MONITORING = FOLDER.parent / "monitoring"
# The Prometheus operator's: Kubernetes has no schemas for them.
OPERATORS = {"ServiceMonitor", "PrometheusRule"}
SERVICE_MONITOR = {
    "spec": {"selector", "endpoints"},
    "endpoints": {"port", "path", "interval"},
}
# Values that must be refused, added to those of least.yaml.
REFUSED = (
    "replicaCounts=2",
    "replicaCount=0",
    "database.existingSecret=",
    "database.existingSecret=,database.url=mysql://host",
    "database.existingSecret=,database.url=postgresql://host,database.ownerKey=owner",
    "settings.database_owner_url=postgresql://host",
    "settings.host=0.0.0.0",
    "settings.drain_seconds=3",
    "image.digest=latest",
    "service.type=ExternalName",
    "tls.existingSecret=",
    "settings.auth=off",
    "allowInsecure=true,tls.existingSecret=,settings.auth=off,http.enabled=false,"
    "metrics.serviceMonitor.enabled=true",
    "allowInsecure=true,tls.existingSecret=,settings.auth=off,http.enabled=false,"
    "monitoring.rules.enabled=true",
    "topologySpreadConstraints[0].labelSelector.matchLabels.a=b",
)

Object = dict[str, Any]


def main(helm: str) -> str | None:
    """What is wrong; None if nothing is."""
    wrong: list[str] = []
    for values, release in itertools.product(VALUES, RELEASES):
        where = f"{values.name} on {release}"
        linted = _helm(helm, LINT, release, values)
        if linted.returncode:
            wrong.append(f"{where}: {linted.stdout}{linted.stderr}")
            continue
        objects = _rendered(helm, release, values)
        wrong += [f"{where}: {problem}" for problem in _problems(objects, release)]
        _say(f"{where}: {len(objects)} objects")
    for change in REFUSED:
        least = FOLDER / "values" / "least.yaml"
        if not _helm(helm, TEMPLATE, RELEASES[-1], least, "--set", change).returncode:
            wrong.append(f"not refused: {change}")
    return "\n".join(wrong) or None


def _helm(
    helm: str, command: Sequence[str], release: str, values: Path, *options: str
) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [helm, *command, CHART, "--kube-version", release, "--values", values, *options],
        capture_output=True,
        text=True,
        check=False,
    )


def _rendered(helm: str, release: str, values: Path) -> list[Object]:
    done = _helm(helm, TEMPLATE, release, values)
    if done.returncode:
        raise SystemExit(done.stderr)
    return [found for found in yaml.safe_load_all(done.stdout) if found]


def _problems(objects: list[Object], release: str) -> list[str]:
    """Errors the schemas find; if there are none, mistakes that schemas cannot see."""
    return list(_of_each(objects, release)) or list(_of_the_whole(objects))


def _of_each(objects: list[Object], release: str) -> Iterator[str]:
    for found in objects:
        name = f"{found['kind']} {found['metadata']['name']}"
        if len(found["metadata"]["name"]) > LONGEST_NAME:
            yield f"{name}: the name is too long"
        if found["kind"] == "ServiceMonitor":
            yield from _of_a_service_monitor(found["spec"])
        if found["kind"] in OPERATORS:
            continue
        try:
            kubernetes_validate.validate(found, release, strict=True)
        except kubernetes_validate.ValidationError as error:
            yield f"{name}: {'.'.join(map(str, error.path))}: {error.message}"


def _of_a_service_monitor(spec: Object) -> Iterator[str]:
    if unknown := set(spec) - SERVICE_MONITOR["spec"]:
        yield f"ServiceMonitor: unknown {unknown}"
    for endpoint in spec["endpoints"]:
        if unknown := set(endpoint) - SERVICE_MONITOR["endpoints"]:
            yield f"ServiceMonitor: unknown {unknown}"


def _of_the_whole(objects: list[Object]) -> Iterator[str]:
    (deployment,) = (found for found in objects if found["kind"] == "Deployment")
    template = deployment["spec"]["template"]
    labels = template["metadata"]["labels"]
    for name, selector in _selectors(objects):
        if not selector.items() <= labels.items():
            yield f"{name} selects no pod of the deployment"
    ports = {port["name"] for port in template["spec"]["containers"][0]["ports"]}
    for found in objects:
        if found["kind"] == "Service":
            wanted = {port["targetPort"] for port in found["spec"]["ports"]}
            if not wanted <= ports:
                yield f"Service {found['metadata']['name']}: no port {wanted - ports}"
    yield from _of_monitoring(objects)
    yield from _of_the_pod(template["spec"])


def _of_monitoring(objects: list[Object]) -> Iterator[str]:
    for found in objects:
        if found["kind"] == "PrometheusRule":
            rules = yaml.safe_load((MONITORING / "rules.yaml").read_text())
            if found["spec"] != rules:
                yield "PrometheusRule: it has not the alerts of rules.yaml"
        if found["kind"] == "ConfigMap":
            board = (MONITORING / "dashboard.json").read_text()
            if found["data"] != {"runstore.json": board}:
                yield "ConfigMap: it has not the board of dashboard.json"


def _selectors(objects: list[Object]) -> Iterator[tuple[str, Object]]:
    for found in objects:
        spec, name = found.get("spec", {}), f"{found['kind']} {found['metadata']['name']}"
        if found["kind"] == "Service":
            yield name, spec["selector"]
        for key in ("selector", "podSelector"):
            if "matchLabels" in spec.get(key, {}) and found["kind"] != "ServiceMonitor":
                yield name, spec[key]["matchLabels"]


def _of_the_pod(pod: Object) -> Iterator[str]:
    (container,) = pod["containers"]
    variables = {one["name"]: one.get("value") for one in container["env"]}
    if len(variables) != len(container["env"]):
        yield "a variable is set twice"
    for name, value in variables.items():
        if value is not None and EXPONENT.search(value):
            yield f"{name} is {value}: no setting reads that"
    drain = float(variables["RUNSTORE_DRAIN_SECONDS"])
    before = int(container["lifecycle"]["preStop"]["exec"]["command"][1])
    if pod["terminationGracePeriodSeconds"] < before + drain:
        yield "a pod is killed before it has drained"
    if not (pod["securityContext"]["runAsNonRoot"] and pod["securityContext"]["runAsUser"]):
        yield "a pod may run as root"
    if not container["securityContext"]["readOnlyRootFilesystem"]:
        yield "a pod may write to its image"


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - a command line


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
