"""Retention: policies, and what they would let go."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from runstore.v1 import admin_service_pb2 as rpc
from runstore_storage.contract.feed import RETENTION, FeedStore
from runstore_storage.contract.retention import RetentionStore

from runstore_server.convert.retention import due_message, kept_policy_message, policy_of
from runstore_server.convert.runs import project_of
from runstore_server.pages import page_tokens
from runstore_server.pages.sizes import DEFAULT_PAGE
from runstore_server.services.acts import Acts
from runstore_server.validation.requests import admit

NOT_APPLIED = (
    "no process applies policies: none runs with both RUNSTORE_RELAY and RUNSTORE_RETENTION"
)


class Retention:
    """`idle` is how long who reads the feed may do nothing and still keeps runs."""

    def __init__(
        self, retention: RetentionStore, feed: FeedStore, acts: Acts, *, idle: timedelta
    ) -> None:
        self._retention = retention
        self._feed = feed
        self._acts = acts
        self._idle = idle

    async def PutPolicy(self, request: rpc.PutPolicyRequest, context: Any) -> rpc.PutPolicyResponse:
        await admit(request)
        policy = policy_of(request.policy)
        async with self._acts.recorded(request, f"policies/{policy.name}", context) as act:
            kept, is_repeat = await self._retention.put_policy(policy, act)
        return rpc.PutPolicyResponse(policy=kept_policy_message(kept), deduplicated=is_repeat)

    async def ListPolicies(
        self, request: rpc.ListPoliciesRequest, _context: Any
    ) -> rpc.ListPoliciesResponse:
        await admit(request)
        token = request.page_token
        page = await self._retention.list_policies(
            project_of(request.project),
            limit=request.page_size or DEFAULT_PAGE,
            after=page_tokens.read(request, token)[0] if token else None,
        )
        return rpc.ListPoliciesResponse(
            policies=[kept_policy_message(each) for each in page.items],
            next_page_token=page_tokens.following(request, page.next_after),
        )

    async def DeletePolicy(
        self, request: rpc.DeletePolicyRequest, context: Any
    ) -> rpc.DeletePolicyResponse:
        await admit(request)
        async with self._acts.recorded(request, f"policies/{request.name}", context) as act:
            is_repeat = await self._retention.delete_policy(request.name, act)
        return rpc.DeletePolicyResponse(deduplicated=is_repeat)

    async def PreviewRetention(
        self, request: rpc.PreviewRetentionRequest, _context: Any
    ) -> rpc.PreviewRetentionResponse:
        await admit(request)
        found = await self._retention.preview_retention(
            project_of(request.project),
            policy_of(request.policy) if request.HasField("policy") else None,
            idle=self._idle,
        )
        held = {duty.name for duty in await self._feed.list_duties() if duty.holder}
        return rpc.PreviewRetentionResponse(
            sums=[due_message(each) for each in found.due],
            looked_at_runs=found.looked_at_runs,
            has_more=found.has_more,
            warnings=[] if RETENTION in held else [NOT_APPLIED],
        )
