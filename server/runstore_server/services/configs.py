"""ConfigService: versions of prompts, tools, agents and evaluators, and their labels."""

from __future__ import annotations

from typing import Any

from runstore.v1 import config_service_pb2 as rpc
from runstore.v1.config_service_pb2_grpc import ConfigServiceServicer
from runstore_storage.contract.configs import NO_VERSION, ConfigStore, LabelChange

from runstore_server.convert.configs import (
    config_key_of,
    config_message,
    move_message,
    new_version_of,
    version_message,
    version_selector_of,
)
from runstore_server.convert.runs import project_of
from runstore_server.convert.times import timestamp
from runstore_server.pages import page_tokens
from runstore_server.pages.sizes import DEFAULT_PAGE
from runstore_server.validation.requests import admit


class ConfigService(ConfigServiceServicer):
    def __init__(self, configs: ConfigStore) -> None:
        self._configs = configs

    async def RegisterVersion(
        self, request: rpc.RegisterVersionRequest, _context: Any
    ) -> rpc.RegisterVersionResponse:
        await admit(request)
        registered = await self._configs.register_version(new_version_of(request))
        return rpc.RegisterVersionResponse(
            version=registered.version,
            digest=registered.digest,
            created_at=timestamp(registered.created_at),
            deduplicated=registered.deduplicated,
        )

    async def GetVersion(
        self, request: rpc.GetVersionRequest, _context: Any
    ) -> rpc.GetVersionResponse:
        await admit(request)
        version = await self._configs.get_version(
            config_key_of(request), version_selector_of(request)
        )
        return rpc.GetVersionResponse(version=version_message(version))

    async def ListVersions(
        self, request: rpc.ListVersionsRequest, _context: Any
    ) -> rpc.ListVersionsResponse:
        await admit(request)
        page = await self._configs.list_versions(
            config_key_of(request),
            limit=request.page_size or DEFAULT_PAGE,
            after=page_tokens.number(request, request.page_token),
        )
        return rpc.ListVersionsResponse(
            versions=[version_message(each) for each in page.items],
            next_page_token=page_tokens.following(request, page.next_after),
        )

    async def ListConfigs(
        self, request: rpc.ListConfigsRequest, _context: Any
    ) -> rpc.ListConfigsResponse:
        await admit(request)
        token = request.page_token
        after_kind, after_name = page_tokens.read(request, token) if token else ("", "")
        page = await self._configs.list_configs(
            project_of(request.project),
            kind=request.kind,
            name_prefix=request.name_prefix,
            limit=request.page_size or DEFAULT_PAGE,
            after=(after_kind, after_name),
        )
        return rpc.ListConfigsResponse(
            configs=[config_message(each) for each in page.items],
            next_page_token=page_tokens.issue(request, page.next_after) if page.next_after else "",
        )

    async def SetLabel(self, request: rpc.SetLabelRequest, _context: Any) -> rpc.SetLabelResponse:
        await admit(request)
        answer = await self._configs.change_label(
            config_key_of(request), _change(request, request.version)
        )
        return rpc.SetLabelResponse(
            move=move_message(answer.move), deduplicated=answer.deduplicated
        )

    async def RemoveLabel(
        self, request: rpc.RemoveLabelRequest, _context: Any
    ) -> rpc.RemoveLabelResponse:
        await admit(request)
        answer = await self._configs.change_label(
            config_key_of(request), _change(request, NO_VERSION)
        )
        return rpc.RemoveLabelResponse(
            move=move_message(answer.move), deduplicated=answer.deduplicated
        )

    async def ListLabelMoves(
        self, request: rpc.ListLabelMovesRequest, _context: Any
    ) -> rpc.ListLabelMovesResponse:
        await admit(request)
        page = await self._configs.list_label_moves(
            config_key_of(request),
            request.label,
            limit=request.page_size or DEFAULT_PAGE,
            after=page_tokens.number(request, request.page_token),
        )
        return rpc.ListLabelMovesResponse(
            moves=[move_message(each) for each in page.items],
            next_page_token=page_tokens.following(request, page.next_after),
        )


def _change(request: rpc.SetLabelRequest | rpc.RemoveLabelRequest, version: int) -> LabelChange:
    return LabelChange(
        label=request.label,
        version=version,
        expected_version=request.expected_version if request.HasField("expected_version") else None,
        actor=request.actor,
        request_id=request.request_id,
    )
