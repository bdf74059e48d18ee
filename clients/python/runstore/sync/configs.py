# Generated from aio/configs.py; see generate_sync.py.
"""Configs of a synchronous client."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Unpack

from runstore import calls
from runstore.sync.connection import Connection
from runstore.values.configs import (
    Config,
    ConfigVersion,
    LabelMove,
    RegisteredVersion,
    RegisterFields,
    Selector,
)
from runstore.values.payloads import Value


class Configs:
    """A project's versions of prompts, tools, agents and evaluators, and their labels."""

    def __init__(self, connection: Connection, project: str) -> None:
        self._connection = connection
        self._project = project

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of project {self._project!r}>"

    def register(
        self, kind: str, name: str, body: Value, **fields: Unpack[RegisterFields]
    ) -> RegisteredVersion:
        """Store a body as the next version; a body registered before keeps its version."""
        return self._connection.send(
            calls.configs.register_version(self._project, kind, name, body, fields)
        )

    def get(self, kind: str, name: str, **selector: Unpack[Selector]) -> ConfigVersion:
        """A version with its body: by number, digest or label, by default the latest."""
        return self._connection.send(calls.configs.get_version(self._project, kind, name, selector))

    def versions(self, kind: str, name: str) -> Iterator[ConfigVersion]:
        """Yield the versions of a config without bodies, newest first."""
        for version in self._connection.pages(
            lambda token: calls.configs.list_versions(self._project, kind, name, token)
        ):
            yield version

    def list(self, kind: str = "", *, name_prefix: str = "") -> Iterator[Config]:
        """Yield the project's configs by kind and name."""
        for config in self._connection.pages(
            lambda token: calls.configs.list_configs(self._project, kind, name_prefix, token)
        ):
            yield config

    def set_label(
        self,
        kind: str,
        name: str,
        label: str,
        version: int,
        *,
        expected_version: int | None = None,
        actor: str = "",
    ) -> LabelMove:
        """Point a label to a version; runs that are already saved keep their pins.

        Raise `LabelConflict` if the label does not point to `expected_version` (0: to none).
        """
        return self._connection.send(
            calls.configs.set_label(
                self._project, kind, name, label, version, expected_version, actor
            )
        )

    def remove_label(
        self,
        kind: str,
        name: str,
        label: str,
        *,
        expected_version: int | None = None,
        actor: str = "",
    ) -> LabelMove:
        """Remove a label; its history stays. Otherwise as `set_label`."""
        return self._connection.send(
            calls.configs.remove_label(self._project, kind, name, label, expected_version, actor)
        )

    def label_moves(self, kind: str, name: str, label: str = "") -> Iterator[LabelMove]:
        """Yield the moves of a label, or of all labels, newest first: who, when, from, to."""
        for move in self._connection.pages(
            lambda token: calls.configs.list_label_moves(self._project, kind, name, label, token)
        ):
            yield move
