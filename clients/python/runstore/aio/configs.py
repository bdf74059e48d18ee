"""Configs of an asynchronous client."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Unpack

from runstore import calls
from runstore.aio.connection import AsyncConnection
from runstore.values.configs import (
    Config,
    ConfigVersion,
    LabelMove,
    RegisteredVersion,
    RegisterFields,
    Selector,
)
from runstore.values.payloads import Value


class AsyncConfigs:
    """A project's versions of prompts, tools, agents and evaluators, and their labels."""

    def __init__(self, connection: AsyncConnection, project: str) -> None:
        self._connection = connection
        self._project = project

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of project {self._project!r}>"

    async def register(
        self, kind: str, name: str, body: Value, **fields: Unpack[RegisterFields]
    ) -> RegisteredVersion:
        """Store a body as the next version; a body registered before keeps its version."""
        return await self._connection.send(
            calls.configs.register_version(self._project, kind, name, body, fields)
        )

    async def get(self, kind: str, name: str, **selector: Unpack[Selector]) -> ConfigVersion:
        """A version with its body: by number, digest or label, by default the latest."""
        return await self._connection.send(
            calls.configs.get_version(self._project, kind, name, selector)
        )

    async def versions(self, kind: str, name: str) -> AsyncIterator[ConfigVersion]:
        """Yield the versions of a config without bodies, newest first."""
        async for version in self._connection.pages(
            lambda token: calls.configs.list_versions(self._project, kind, name, token)
        ):
            yield version

    async def list(self, kind: str = "", *, name_prefix: str = "") -> AsyncIterator[Config]:
        """Yield the project's configs by kind and name."""
        async for config in self._connection.pages(
            lambda token: calls.configs.list_configs(self._project, kind, name_prefix, token)
        ):
            yield config

    async def set_label(
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
        return await self._connection.send(
            calls.configs.set_label(
                self._project, kind, name, label, version, expected_version, actor
            )
        )

    async def remove_label(
        self,
        kind: str,
        name: str,
        label: str,
        *,
        expected_version: int | None = None,
        actor: str = "",
    ) -> LabelMove:
        """Remove a label; its history stays. Otherwise as `set_label`."""
        return await self._connection.send(
            calls.configs.remove_label(self._project, kind, name, label, expected_version, actor)
        )

    async def label_moves(self, kind: str, name: str, label: str = "") -> AsyncIterator[LabelMove]:
        """Yield the moves of a label, or of all labels, newest first: who, when, from, to."""
        async for move in self._connection.pages(
            lambda token: calls.configs.list_label_moves(self._project, kind, name, label, token)
        ):
            yield move
