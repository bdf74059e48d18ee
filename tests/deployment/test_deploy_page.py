"""What docs/deploy.md and the chart's README show of Docker, kubectl and helm.

There is no Docker here and no cluster: their commands are read as those programs read them and held
to what the image, the chart and the settings are. helm renders for real.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from deployment.dockerfile import ROOT, stages
from e2e.documents import blocks
from runstore_server.settings import Settings

PAGE = ROOT / "docs" / "deploy.md"
CHART = ROOT / "deploy" / "helm" / "runstore"
INSTALL_HELM = CHART.parent / "install-helm"
PATIENT = 600


def commands(page: Path, program: str) -> list[list[str]]:
    """The commands of a program that a page shows, as arguments."""
    shown = "".join(text for language, text in blocks(page) if language == "sh")
    lines = (shlex.split(line) for line in shown.replace("\\\n", " ").splitlines())
    return [line for line in lines if line[0] == program]


def docker() -> argparse.ArgumentParser:
    """The options of `docker build` and `docker run` that a page may use; others are refused."""
    parser = argparse.ArgumentParser(prog="docker", allow_abbrev=False, exit_on_error=False)
    does = parser.add_subparsers(dest="does", required=True)
    build = does.add_parser("build", allow_abbrev=False, exit_on_error=False)
    build.add_argument("--tag", required=True)
    build.add_argument("context")
    run = does.add_parser("run", allow_abbrev=False, exit_on_error=False)
    for flag in ("--rm", "--read-only"):
        run.add_argument(flag, action="store_true")
    for option in ("--env", "--publish", "--cap-drop"):
        run.add_argument(option, action="append", default=[])
    run.add_argument("image")
    run.add_argument("arguments", nargs=argparse.REMAINDER)
    return parser


def test_the_image_that_is_run_is_the_one_that_is_built() -> None:
    build, *runs = (docker().parse_args(each[1:]) for each in commands(PAGE, "docker"))

    assert (ROOT / build.context / "Dockerfile").is_file()
    assert len(runs) == 2
    assert {run.image for run in runs} == {build.tag}


def test_it_is_run_with_settings_ports_and_commands_that_it_has() -> None:
    final = stages()[-1]
    for run in (docker().parse_args(each[1:]) for each in commands(PAGE, "docker")[1:]):
        ports = {each.split(":")[-1] for each in run.publish}
        asked = subprocess.run(
            [sys.executable, "-m", "runstore_server", *run.arguments, "--help"],
            capture_output=True,
            timeout=180,
            check=False,
        )

        assert {
            each.partition("=")[0].removeprefix("RUNSTORE_").lower() for each in run.env
        } <= set(Settings.model_fields)
        assert ports <= set(final.one("EXPOSE").split())
        assert asked.returncode == 0, run.arguments


def test_it_is_confined_as_compose_confines_it() -> None:
    compose = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]["server"]
    serving = docker().parse_args(commands(PAGE, "docker")[-1][1:])

    assert serving.read_only == compose["read_only"]
    assert serving.cap_drop == compose["cap_drop"]


def test_an_option_that_docker_would_refuse_is_noticed() -> None:
    with pytest.raises((argparse.ArgumentError, SystemExit)):
        docker().parse_args(["run", "--readonly", "runstore"])


def test_the_secret_that_is_made_is_the_one_the_chart_reads() -> None:
    (kubectl,) = commands(PAGE, "kubectl")
    (helm,) = commands(PAGE, "helm")
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    *create, name, literal = kubectl
    key, url = literal.removeprefix("--from-literal=").split("=", 1)

    assert create == ["kubectl", "create", "secret", "generic"]
    assert f"database.existingSecret={name}" in helm
    assert key == values["database"]["key"]
    assert Settings(database_url=url).database_url == url


def test_the_probes_shown_are_those_of_the_chart() -> None:
    (shown,) = (text for language, text in blocks(PAGE) if language == "yaml")
    deployment = (CHART / "templates" / "deployment.yaml").read_text()

    probes = yaml.safe_load(shown)

    assert len(probes) == 2
    for name, probe in probes.items():
        service = probe["grpc"]["service"]
        of_chart = rf"{name}:\n(?:(?!.*Probe:).*\n)*?\s+grpc:\n(?:.*\n)?\s+service: {service}\n"
        assert re.search(of_chart, deployment)
        assert str(probe["grpc"]["port"]) in stages()[-1].one("EXPOSE").split()


@pytest.mark.timeout(PATIENT)
@pytest.mark.parametrize("page", [PAGE, CHART / "README.md"], ids=["deploy.md", "README.md"])
def test_the_installation_shown_renders(page: Path) -> None:
    folder = ROOT if page == PAGE else CHART
    (shown,) = commands(page, "helm")
    assert shown[:2] == ["helm", "install"]

    done = subprocess.run(
        [helm(), "template", "--kube-version", "1.27.0", *shown[2:]],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    objects: list[dict[str, Any]] = [each for each in yaml.safe_load_all(done.stdout) if each]
    assert {"Deployment", "Service", "Job"} <= {each["kind"] for each in objects}
    assert "name: runstore-database" in done.stdout


def helm() -> str:
    """The path of a helm; without one the test is skipped, or fails in CI."""
    done = subprocess.run(
        [INSTALL_HELM], capture_output=True, text=True, timeout=PATIENT, check=False
    )
    if done.returncode:
        if os.environ.get("CI"):
            pytest.fail(done.stderr)
        pytest.skip(f"no helm: {done.stderr.strip()}")
    return done.stdout.strip()
