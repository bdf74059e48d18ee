"""Random histories of versions, labels and pins: the service and a small model agree.

Above all: what a run was pinned to when it was saved, it is pinned to for ever.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import grpc
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
)
from runstore.errors import from_rpc
from runstore.v1 import config_service_pb2 as rpc
from runstore.v1 import run_service_pb2 as runs
from runstore.v1.config_service_pb2_grpc import ConfigServiceStub
from runstore.v1.payloads_pb2 import Payload
from runstore.v1.run_service_pb2_grpc import RunServiceStub
from runstore.v1.runs_pb2 import ConfigRef
from state_machines import run_histories

NAMES = st.sampled_from(["a", "b"])
BODIES = st.sampled_from(["1", "1.0", '"x"', '{"k":1}', "[ ]"])
LABELS = st.sampled_from(["live", "test"])
NUMBERS = st.integers(1, 5)
EXPECTED = st.sampled_from([None, None, 0, 1, 2])
REQUESTS = st.sampled_from(["", "", "r1", "r2"])
RUNS = st.sampled_from(["run1", "run2", "run3", "run4", "run5"])
WAYS = st.sampled_from(["label", "version", "digest", "both"])


class Refused(Exception):
    pass


@dataclass
class ModelConfig:
    """What the contract says of one config, in the plainest words."""

    bodies: list[str] = field(default_factory=list)
    labels: dict[str, int] = field(default_factory=dict)
    moves: list[tuple[str, int, int]] = field(default_factory=list)
    requests: dict[tuple[str, str], tuple[int, int]] = field(default_factory=dict)

    def register(self, body: str, labels: list[str], request: str) -> tuple[int, bool]:
        known = body in self.bodies
        version = self.bodies.index(body) + 1 if known else len(self.bodies) + 1
        for label in labels:
            done = self.requests.get((label, request)) if request else None
            if done and done[1] != version:
                raise Refused("IDEMPOTENCY_MISMATCH")
        if not known:
            self.bodies.append(body)
        for label in labels:
            self.move(label, version, None, request)
        return version, known

    def move(
        self, label: str, version: int, expected: int | None, request: str
    ) -> tuple[int, int, bool]:
        if not self.bodies:
            raise Refused("CONFIG_NOT_FOUND")
        if request and (label, request) in self.requests:
            before, after = self.requests[label, request]
            if after != version:
                raise Refused("IDEMPOTENCY_MISMATCH")
            return before, after, True
        place = self.labels.get(label, 0)
        if place == version:
            return place, place, True
        if version > len(self.bodies):
            raise Refused("CONFIG_VERSION_NOT_FOUND")
        if expected not in (None, place):
            raise Refused("LABEL_CONFLICT")
        self.labels[label] = version
        if not version:
            del self.labels[label]
        self.moves.append((label, place, version))
        if request:
            self.requests[label, request] = (place, version)
        return place, version, False

    def pin(self, way: str, label: str, number: int) -> int:
        if not self.bodies:
            if way == "both":
                return number
            raise Refused("CONFIG_NOT_FOUND")
        if way == "label" and label not in self.labels:
            raise Refused("CONFIG_LABEL_NOT_FOUND")
        if way in ("version", "digest") and number > len(self.bodies):
            raise Refused("CONFIG_VERSION_NOT_FOUND")
        return self.labels[label] if way == "label" else number


class ConfigHistories(RuleBasedStateMachine):
    configs: Any
    stub: Any
    loop: asyncio.AbstractEventLoop

    @initialize()
    def begin(self) -> None:
        """Start with a config that has versions, a label and a run pinned by it."""
        self.project = f"machine/{uuid4().hex}"
        self.models = {"a": ModelConfig(), "b": ModelConfig()}
        self.digests: dict[tuple[str, int], str] = {}
        self.pins: dict[str, tuple[ConfigRef, tuple[str, int]]] = {}
        self.register("a", "1", ["live"], "")
        self.register("a", "1.0", [], "")
        self.save_run("run1", "a", "label", "live", 1)

    def both(self, model: Callable[[], Any], send: Any, request: Any, read: Any) -> Any:
        """The model's answer or refusal must be the service's."""
        request.project = self.project
        coroutine: Coroutine[Any, Any, Any] = self._sent(send, request)
        try:
            expected = model()
        except Refused as refusal:
            expected = str(refusal)
        answer = self.loop.run_until_complete(coroutine)
        found = answer if isinstance(answer, str) else read(answer)
        assert found == expected, request
        return None if isinstance(answer, str) else answer

    async def _sent(self, send: Any, request: Any) -> Any:
        """The answer, or the reason of the refusal."""
        try:
            return await send(request)
        except grpc.RpcError as error:
            return from_rpc(error).reason

    @rule(
        name=NAMES, body=BODIES, labels=st.lists(LABELS, max_size=2, unique=True), request=REQUESTS
    )
    def register(self, name: str, body: str, labels: list[str], request: str) -> None:
        answer = self.both(
            lambda: self.models[name].register(body, labels, request),
            self.configs.RegisterVersion,
            rpc.RegisterVersionRequest(
                kind="prompt",
                name=name,
                body=Payload(json=body),
                labels=labels,
                request_id=request,
            ),
            lambda answer: (answer.version, answer.deduplicated),
        )
        if answer:
            assert self.digests.setdefault((name, answer.version), answer.digest) == answer.digest

    @rule(name=NAMES, label=LABELS, version=NUMBERS, expected=EXPECTED, request=REQUESTS)
    def set_label(
        self, name: str, label: str, version: int, expected: int | None, request: str
    ) -> None:
        self.both(
            lambda: self.models[name].move(label, version, expected, request),
            self.configs.SetLabel,
            rpc.SetLabelRequest(
                kind="prompt",
                name=name,
                label=label,
                version=version,
                expected_version=expected,
                request_id=request,
            ),
            lambda answer: (
                answer.move.from_version,
                answer.move.to_version,
                answer.deduplicated,
            ),
        )

    @rule(name=NAMES, label=LABELS, expected=EXPECTED, request=REQUESTS)
    def remove_label(self, name: str, label: str, expected: int | None, request: str) -> None:
        self.both(
            lambda: self.models[name].move(label, 0, expected, request),
            self.configs.RemoveLabel,
            rpc.RemoveLabelRequest(
                kind="prompt",
                name=name,
                label=label,
                expected_version=expected,
                request_id=request,
            ),
            lambda answer: (
                answer.move.from_version,
                answer.move.to_version,
                answer.deduplicated,
            ),
        )

    @rule(run_id=RUNS, name=NAMES, way=WAYS, label=LABELS, number=NUMBERS)
    def save_run(self, run_id: str, name: str, way: str, label: str, number: int) -> None:
        digest = self.digests.get((name, number), f"sha256:{name}{number}")
        ref = ConfigRef(
            kind="prompt",
            name=name,
            label=label if way == "label" else "",
            version=number if way in ("version", "both") else 0,
            digest=digest if way in ("digest", "both") else "",
        )

        def expected() -> tuple[str, int, bool]:
            if run_id in self.pins:
                asked, pin = self.pins[run_id]
                if asked != ref:
                    raise Refused("IDEMPOTENCY_MISMATCH")
                return (*pin, True)
            pin = name, self.models[name].pin(way, label, number)
            self.pins[run_id] = ref, pin
            return (*pin, False)

        self.both(
            expected,
            self.stub.SaveRun,
            runs.SaveRunRequest(run_id=run_id, config_refs=[ref]),
            lambda answer: (
                answer.run.config_refs[0].name,
                answer.run.config_refs[0].version,
                answer.deduplicated,
            ),
        )

    @rule(name=NAMES, label=LABELS)
    def get_by_label(self, name: str, label: str) -> None:
        model = self.models[name]

        def expected() -> tuple[int, str]:
            if not model.bodies:
                raise Refused("CONFIG_NOT_FOUND")
            if label not in model.labels:
                raise Refused("CONFIG_LABEL_NOT_FOUND")
            return model.labels[label], model.bodies[model.labels[label] - 1]

        self.both(
            expected,
            self.configs.GetVersion,
            rpc.GetVersionRequest(kind="prompt", name=name, label=label),
            lambda answer: (answer.version.version, answer.version.body.json),
        )

    @invariant()
    def runs_keep_their_pins(self) -> None:
        for run_id, (asked, (name, version)) in getattr(self, "pins", {}).items():
            request = runs.GetRunRequest(project=self.project, run_id=run_id)
            run = self.loop.run_until_complete(self._sent(self.stub.GetRun, request)).run
            digest = asked.digest or self.digests[name, version]
            pin = ConfigRef(kind="prompt", name=name, version=version, digest=digest)
            assert list(run.config_refs) == [pin]

    @invariant()
    def configs_stand_where_the_model_says(self) -> None:
        if not hasattr(self, "models"):
            return
        request = rpc.ListConfigsRequest(project=self.project)
        answer = self.loop.run_until_complete(self._sent(self.configs.ListConfigs, request))
        assert [
            (each.name, each.latest.version, {label.label: label.version for label in each.labels})
            for each in answer.configs
        ] == [
            (name, len(model.bodies), model.labels)
            for name, model in self.models.items()
            if model.bodies
        ]

    def teardown(self) -> None:
        """The history tells every move, and each version is what was registered first."""
        for name, model in getattr(self, "models", {}).items():
            if not model.bodies:
                continue
            named = {"project": self.project, "kind": "prompt", "name": name}
            moves = self.loop.run_until_complete(
                self._sent(
                    self.configs.ListLabelMoves, rpc.ListLabelMovesRequest(**named, page_size=100)
                )
            ).moves
            assert [(each.label, each.from_version, each.to_version) for each in moves] == list(
                reversed(model.moves)
            )[:100]
            for version, body in enumerate(model.bodies, 1):
                found = self.loop.run_until_complete(
                    self._sent(
                        self.configs.GetVersion, rpc.GetVersionRequest(**named, version=version)
                    )
                ).version
                assert (found.body.json, found.digest) == (body, self.digests[name, version])


@pytest.mark.timeout(600)
@pytest.mark.slow
def test_histories_of_configs_answer_as_the_model_does(database_url: str, db_schema: str) -> None:
    stubs = {"configs": ConfigServiceStub, "stub": RunServiceStub}
    run_histories(ConfigHistories, database_url, db_schema, stubs, examples=40, steps=30)
