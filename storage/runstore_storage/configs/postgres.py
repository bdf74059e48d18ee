"""Configs on Postgres. The contract is `ConfigStore`; each method here is its transaction."""

from __future__ import annotations

from runstore_storage.configs.bodies import compress_body, with_body
from runstore_storage.contract.configs import (
    LATEST,
    Config,
    ConfigKey,
    ConfigVersion,
    LabelChange,
    LabelChangeResult,
    LabelMove,
    NewVersion,
    RegisteredVersion,
    VersionSelector,
)
from runstore_storage.contract.errors import (
    ConfigLabelNotFound,
    ConfigNotFound,
    ConfigVersionNotFound,
    IdempotencyMismatch,
    LabelConflict,
)
from runstore_storage.contract.pages import Page
from runstore_storage.database.connection import Connection
from runstore_storage.database.engine import Database, reading, writing
from runstore_storage.database.in_flight import WritesInFlight, finish_despite_cancellation
from runstore_storage.sql import config_labels, configs


class PostgresConfigs:
    """Shares the connections of the store that makes it."""

    def __init__(self, engine: Database, in_flight: WritesInFlight) -> None:
        self._engine = engine
        self._in_flight = in_flight

    @finish_despite_cancellation
    async def register_version(self, new: NewVersion) -> RegisteredVersion:
        body = await compress_body(new.body)
        async with writing(self._engine) as conn:
            config = await _lock_or_create(conn, new.key)
            before = await configs.find_digest(conn, config, body.digest)
            version, created_at = before or await configs.insert(conn, config, new, body)
            for label in new.labels:
                change = LabelChange(label, version, None, new.actor, new.request_id)
                await _change_label(conn, config, new.key, change)
        return RegisteredVersion(version, body.digest, created_at, deduplicated=before is not None)

    async def get_version(
        self, key: ConfigKey, selector: VersionSelector = LATEST
    ) -> ConfigVersion:
        async with reading(self._engine) as conn:
            found = await configs.get(conn, await _find(conn, key), selector)
        if found is None:
            if selector.label:
                raise ConfigLabelNotFound(key, selector.label)
            raise ConfigVersionNotFound(key, selector.digest or str(selector.version))
        return await with_body(*found)

    async def list_versions(
        self, key: ConfigKey, *, limit: int, after: int | None
    ) -> Page[ConfigVersion, int]:
        async with reading(self._engine) as conn:
            config = await _find(conn, key)
            found = await configs.page(conn, config, limit=limit + 1, before=after)
        return Page.of(found, limit, lambda version: version.version)

    async def list_configs(
        self,
        project: str,
        *,
        kind: str,
        name_prefix: str,
        limit: int,
        after: tuple[str, str] | None,
    ) -> Page[Config, tuple[str, str]]:
        async with reading(self._engine) as conn:
            found = await configs.page_of_configs(
                conn,
                project,
                kind=kind,
                name_prefix=name_prefix,
                limit=limit + 1,
                after=after or ("", ""),
            )
        return Page.of(found, limit, lambda config: (config.kind, config.name))

    @finish_despite_cancellation
    async def change_label(self, key: ConfigKey, change: LabelChange) -> LabelChangeResult:
        async with writing(self._engine) as conn:
            config = await configs.lock(conn, key)
            if config is None:
                raise ConfigNotFound(key)
            return await _change_label(conn, config, key, change)

    async def list_label_moves(
        self, key: ConfigKey, label: str, *, limit: int, after: int | None
    ) -> Page[LabelMove, int]:
        async with reading(self._engine) as conn:
            config = await _find(conn, key)
            found = await config_labels.page(conn, config, label, limit=limit + 1, before=after)
        page = Page.of(found, limit, lambda numbered: numbered[0])
        return Page(tuple(move for _, move in page.items), page.next_after)


async def _lock_or_create(conn: Connection, key: ConfigKey) -> int:
    config = await configs.lock(conn, key)
    if config is None:
        await configs.create(conn, key)
        config = await configs.lock(conn, key)
    assert config is not None, "configs are never removed"
    return config


async def _find(conn: Connection, key: ConfigKey) -> int:
    config = await configs.find(conn, key)
    if config is None:
        raise ConfigNotFound(key)
    return config


async def _change_label(
    conn: Connection, config: int, key: ConfigKey, change: LabelChange
) -> LabelChangeResult:
    """Move a label of a locked config."""
    before = await config_labels.find_move(conn, config, change) if change.request_id else None
    if before:
        if before.to_version != change.version:
            raise IdempotencyMismatch("request", change.request_id)
        return LabelChangeResult(before, deduplicated=True)
    current = await config_labels.get(conn, config, change.label)
    points_to = current.version if current else 0
    if points_to == change.version:
        actor, moved_at = (current.actor, current.moved_at) if current else ("", None)
        unmoved = LabelMove(change.label, points_to, points_to, actor, moved_at)
        return LabelChangeResult(unmoved, deduplicated=True)
    if change.version and not await configs.has_version(conn, config, change.version):
        raise ConfigVersionNotFound(key, str(change.version))
    if change.expected_version not in (None, points_to):
        raise LabelConflict(key, change.label, change.expected_version, points_to)
    return LabelChangeResult(
        await config_labels.move(conn, config, change, from_version=points_to), deduplicated=False
    )
