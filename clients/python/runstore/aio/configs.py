"""Configs of an asynchronous client."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Unpack

from runstore.calls import configs as config_calls
from runstore.values.configs import (
    Config,
    ConfigVersion,
    LabelMove,
    RegisteredVersion,
    RegisterFields,
    Selector,
)
from runstore.values.payloads import Value

if TYPE_CHECKING:
    from runstore.aio.client import AsyncClient


class AsyncConfigs:
    """A project's versions of prompts, tools, agents and evaluators, and their labels."""

    def __init__(self, client: AsyncClient, project: str) -> None:
        self._client = client
        self._project = project

    async def register(
        self, kind: str, name: str, body: Value, **fields: Unpack[RegisterFields]
    ) -> RegisteredVersion:
        """Store a body as the next version; one registered before is the version it was then."""
        return await self._client.send(
            config_calls.register(self._project, kind, name, body, fields)
        )

    async def get(self, kind: str, name: str, **selector: Unpack[Selector]) -> ConfigVersion:
        """A version with its body: by number, digest or label, else the latest."""
        return await self._client.send(
            config_calls.get_version(self._project, kind, name, selector)
        )

    async def versions(self, kind: str, name: str) -> AsyncIterator[ConfigVersion]:
        """Yield the versions of a config without bodies, newest first."""
        async for version in self._client.pages(
            lambda token: config_calls.list_versions(self._project, kind, name, token)
        ):
            yield version

    async def list(self, kind: str = "", *, name_prefix: str = "") -> AsyncIterator[Config]:
        """Yield the project's configs by kind and name."""
        async for config in self._client.pages(
            lambda token: config_calls.list_configs(self._project, kind, name_prefix, token)
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
        """Point a label to a version; no run that is saved changes by it.

        `LabelConflict` where the label is not at `expected_version` (0: nowhere).
        """
        return await self._client.send(
            config_calls.set_label(
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
        return await self._client.send(
            config_calls.remove_label(self._project, kind, name, label, expected_version, actor)
        )

    async def label_moves(self, kind: str, name: str, label: str = "") -> AsyncIterator[LabelMove]:
        """Yield who moved a label (or any) when, from where to where, newest first."""
        async for move in self._client.pages(
            lambda token: config_calls.list_label_moves(self._project, kind, name, label, token)
        ):
            yield move
