"""Alerts and board read what servers show, all of it, and say what a person is to do.

Whether each alert fires is tried by `make monitoring`, with promtool and rules_test.yaml.
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
import pytest_asyncio
import runstore
import yaml
from certificates import Authority
from conftest import server_environment
from database import drop_schema, make_schema
from deployment.dockerfile import ROOT
from deployment.promql import Labels, Wrong, labels_of, metrics_in, selectors
from deployment.test_deploy_page import PATIENT, commands, helm
from e2e.documents import blocks
from e2e.servers import ServerProcess
from ports import reserved_port
from prometheus_client.parser import text_string_to_metric_families
from runstore_server.settings import Settings
from server.identity.issuing import AUDIENCE, ISSUER, SigningKey, jwk_set

MONITORING = ROOT / "deploy" / "monitoring"
PAGE = ROOT / "docs" / "monitoring.md"
Known = dict[str, Labels]

OF_PROMETHEUS: Known = {
    "up": frozenset(),
    "ALERTS": frozenset({"alertname", "alertstate", "severity"}),
}
NOT_ON_THE_BOARD = {
    "runstore_duty_position": "it only grows; how far each duty is behind is there",
    "runstore_grpc_call_seconds_count": "calls are counted with their codes",
    "runstore_grpc_call_seconds_sum": "quantiles are there, not means",
}
SINKS = [{"kind": "webhook", "name": "billing", "url": "http://127.0.0.1:1"}]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def environment(database_url: str) -> AsyncIterator[dict[str, str]]:
    """Of servers with a schema of their own, as a sink leaves a duty and dead letters."""
    name = "runstore_monitored"
    await make_schema(database_url, name)
    yield server_environment(database_url, name) | {"RUNSTORE_SINKS": json.dumps(SINKS)}
    await drop_schema(database_url, name)


@pytest.fixture(scope="module")
def known(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Known:
    """The labels of each metric that real servers show, and of Prometheus'."""
    folder = tmp_path_factory.mktemp("monitoring")
    found = used(folder, environment), refusing(folder, environment), OF_PROMETHEUS
    names = {name for each in found for name in each}
    return {name: frozenset().union(*(each.get(name, ()) for each in found)) for name in names}


def used(folder: Path, environment: Mapping[str, str]) -> Known:
    """What a server shows that was called in each way there is."""
    server = ServerProcess(folder / "used.log", environment)
    server.start()
    try:
        server.wait_until_serving()
        with runstore.Client(server.target) as client:
            run = client.save_run("to be seen")
            run.append("tick")
            run.complete(runstore.Outcome.SUCCEEDED)
            assert len(list(run.events(from_seq=1, follow=True))) == 2
        httpx.get(f"{server.http_target}/api/v1/runs").raise_for_status()
        with runstore.Client(server.target, project="limited") as client:
            client.admin.set_limits(calls_per_second=1)
            text = ""
            while not {"runstore_duty_held{", "runstore_quota_refusals_total{"} <= started_in(text):
                client.save_run()
                text = scraped(f"{server.http_target}/metrics")
    finally:
        server.kill()
    return labels_in(text)


def refusing(folder: Path, environment: Mapping[str, str]) -> Known:
    """What a server shows only if it has a certificate, or asks who calls."""
    authority, port = Authority(folder), reserved_port()
    certificate, key = authority.issue("server")
    keys = folder / "jwks.json"
    keys.write_bytes(jwk_set(SigningKey()))
    issuer = {"issuer": ISSUER, "audience": AUDIENCE, "jwks_file": str(keys), "grants_claim": "g"}
    secured = {
        "RUNSTORE_TLS_CERT_FILE": str(certificate),
        "RUNSTORE_TLS_KEY_FILE": str(key),
        "RUNSTORE_AUTH": "required",
        "RUNSTORE_JWT_ISSUERS": json.dumps([issuer]),
        "RUNSTORE_OPS_PORT": str(port),
    }
    trusted = grpc.ssl_channel_credentials(authority.file.read_bytes())
    server = ServerProcess(folder / "refusing.log", {**environment, **secured}, credentials=trusted)
    server.start()
    try:
        server.wait_until_serving()
        target = f"grpcs://localhost:{server.port}"
        with (
            runstore.Client(target, tls=runstore.Tls(ca=authority.file)) as client,
            pytest.raises(runstore.Unauthenticated),
        ):
            client.save_run("not to be seen")
        return labels_in(scraped(f"http://127.0.0.1:{port}/metrics"))
    finally:
        server.kill()


def started_in(text: str) -> set[str]:
    """How the samples of an exposition begin: their names, and a brace."""
    return {line.partition("{")[0] + "{" for line in text.splitlines()}


def scraped(url: str) -> str:
    return httpx.get(url).raise_for_status().text


def labels_in(text: str) -> Known:
    """The labels of each metric of an exposition; none of a counter or gauge without samples."""
    suffixes = {"counter": "_total", "gauge": ""}
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(text):
        if family.type in suffixes:
            found[family.name + suffixes[family.type]] = set()
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return {name: frozenset(labels) for name, labels in found.items()}


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load((MONITORING / "rules.yaml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    """The panels of the board, without the titles of its rows."""
    board = json.loads((MONITORING / "dashboard.json").read_text())
    return [panel for panel in board["panels"] if panel["type"] != "row"]


def queries() -> Iterator[tuple[str, str]]:
    """The board's queries as Grafana sends them, and the legend of each."""
    for panel in panels():
        for target in panel["targets"]:
            yield target["expr"].replace("$__rate_interval", "5m"), target["legendFormat"]


def test_each_alert_reads_what_servers_show(known: Known) -> None:
    for rule in rules():
        said = " ".join(rule["annotations"].values())
        told = set(re.findall(r"\$labels\.(\w+)", said))

        assert told <= labels_of(rule["expr"], known), rule["alert"]


def test_the_board_reads_what_servers_show(known: Known) -> None:
    for query, legend in queries():
        told = set(re.findall(r"\{\{(\w+)\}\}", legend))

        assert told <= labels_of(query, known), query


def test_what_servers_show_is_on_the_board(known: Known) -> None:
    on_the_board = {name for query, _ in queries() for name in metrics_in(query)}
    ours = {name for name in known if name.startswith("runstore_")}

    assert ours - on_the_board == set(NOT_ON_THE_BOARD)


@pytest.mark.parametrize(
    "query",
    [
        "runstore_readyy",
        'runstore_ready{duty="relay"}',
        "sum by (duty) (runstore_ready)",
        "runstore_ready and on (duty) runstore_duty_held",
        "runstore_ready +",
    ],
)
def test_a_query_of_what_no_server_shows_is_noticed(query: str) -> None:
    shown = {"runstore_ready": frozenset[str](), "runstore_duty_held": frozenset({"duty"})}

    with pytest.raises(Wrong):
        labels_of(query, shown)


def test_the_board_is_narrowed_to_what_is_chosen_at_its_top() -> None:
    for query, _ in queries():
        for selector in selectors(query):
            matched = {(each.name, each.value) for each in selector.matchers.matchers}

            assert {("namespace", "$namespace"), ("job", "$job")} <= matched, query


def test_each_panel_says_what_it_shows() -> None:
    for panel in panels():
        assert panel["title"]
        assert panel["description"].endswith((".", ")"))
        assert panel["fieldConfig"]["defaults"]["unit"]
        assert all(target["legendFormat"] for target in panel["targets"])


def test_no_two_panels_are_in_the_same_place() -> None:
    taken = [
        (panel["gridPos"]["x"] + column, panel["gridPos"]["y"] + line)
        for panel in panels()
        for column in range(panel["gridPos"]["w"])
        for line in range(panel["gridPos"]["h"])
    ]

    assert len(taken) == len(set(taken))
    assert max(column for column, _ in taken) == 23


def test_the_board_is_what_its_source_says() -> None:
    done = subprocess.run(
        [sys.executable, MONITORING / "board.py", "--check"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr


def test_each_alert_says_how_bad_it_is_and_what_to_do() -> None:
    for rule in rules():
        page, _, anchor = rule["annotations"]["page"].partition("#")
        headings = re.findall(r"^#+ (.+)$", (ROOT / page).read_text(), re.MULTILINE)

        assert rule["labels"]["severity"] in {"critical", "warning"}
        assert rule["for"]
        assert rule["annotations"]["summary"].endswith(".")
        assert rule["annotations"]["description"].endswith(".")
        assert not anchor or anchor in map(slug, headings), rule["annotations"]["page"]


def slug(heading: str) -> str:
    """What a heading is linked by."""
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


def test_each_alert_is_seen_to_fire_and_not_to() -> None:
    cases = yaml.safe_load((MONITORING / "rules_test.yaml").read_text())["tests"]
    fired, silent = set(), set()
    for case in (each for test in cases for each in test["promql_expr_test"]):
        if "exp_samples" not in case:
            silent |= {name for name in names() if re.search(alertname(case["expr"]), name)}
        for sample in case.get("exp_samples", ()):
            labels = dict(re.findall(r'(\w+)="([^"]*)"', sample["labels"]))
            fired.add((labels["alertname"], labels["severity"]))

    assert fired == {(rule["alert"], rule["labels"]["severity"]) for rule in rules()}
    assert silent == names()


def names() -> set[str]:
    return {rule["alert"] for rule in rules()}


def alertname(query: str) -> str:
    """What a query of alerts matches their names with, as a whole."""
    (matched,) = re.findall(r'alertname=~?"([^"]+)"', query)
    return f"^({matched})$"


def test_the_table_of_alerts_is_what_the_rules_are() -> None:
    expected = [row(rule) for rule in rules()]

    written = re.findall(r"^\| `Runstore.*$", PAGE.read_text(), re.MULTILINE)

    assert written == expected, "the table should be:\n" + "\n".join(expected)


def row(rule: dict[str, Any]) -> str:
    """An alert's line: its summary with its bound in place of the value that is measured."""
    said = re.sub(r"\{\{ \$labels\.(\w+) \}\}", r"*\1*", rule["annotations"]["summary"])
    said = re.sub(r"\{\{ \$value \| (\w+) \}\}", lambda found: bound(rule, found[1]), said)
    page = rule["annotations"]["page"].removeprefix("docs/").removeprefix(PAGE.name)
    after = "at once" if rule["for"] == "0m" else rule["for"]
    severity = rule["labels"]["severity"]
    return f"| `{rule['alert']}` | {severity} | {after} | {said} | [more]({page}) |"


def bound(rule: dict[str, Any], form: str) -> str:
    """What the first comparison of an alert asks for, in the form that its summary gives values."""
    sign, *factors = re.search(r"\s([<>]) ([\d.]+)(?: \* (\d+))?", rule["expr"]).groups("1")
    value = float(factors[0]) * float(factors[1])
    amount = {"humanize": f"{value:g}", "humanizePercentage": f"{value:.0%}"}.get(form)
    than = "more than" if sign == ">" else "less than"
    return f"{than} {amount or duration(value)}"


def duration(seconds: float) -> str:
    size, unit = next(
        (size, unit)
        for size, unit in ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s"))
        if seconds % size == 0
    )
    return f"{seconds / size:g} {unit}"


def test_the_configuration_shown_has_the_alerts_and_the_port() -> None:
    (shown,) = (text for language, text in blocks(PAGE) if language == "yaml")
    configuration = yaml.safe_load(shown)
    (job,) = configuration["scrape_configs"]
    targets = [each for static in job["static_configs"] for each in static["targets"]]

    assert all((MONITORING / name).is_file() for name in configuration["rule_files"])
    assert {target.rpartition(":")[2] for target in targets} == {
        str(Settings.model_fields["http_port"].default)
    }


@pytest.mark.timeout(PATIENT)
def test_the_upgrade_shown_brings_alerts_and_board() -> None:
    (shown,) = commands(PAGE, "helm")
    assert shown[:2] == ["helm", "upgrade"]
    installed = shlex.split("--kube-version 1.27.0 --values deploy/helm/values/least.yaml")
    changed = [each for each in shown[2:] if each != "--reuse-values"]

    done = subprocess.run(
        [helm(), "template", *installed, *changed],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    kinds = {each["kind"] for each in yaml.safe_load_all(done.stdout) if each}
    assert {"ServiceMonitor", "PrometheusRule", "ConfigMap"} <= kinds
