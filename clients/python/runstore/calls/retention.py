"""Calls about how long what is kept."""

from __future__ import annotations

from runstore.calls.call import ADMIN, PAGE_SIZE, Call, Page, page_of
from runstore.ids import new_id
from runstore.v1 import admin_service_pb2 as rpc
from runstore.values.retention import Policy, RetentionPreview
from runstore.wire.messages import message_of
from runstore.wire.retention import policy_message, policy_value, preview_value


def put_policy(project: str, policy: Policy, reason: str, request_id: str) -> Call[Policy]:
    request = message_of(
        rpc.PutPolicyRequest,
        project=project,
        policy=policy_message(policy),
        reason=reason,
        request_id=request_id or new_id(),
    )
    return Call(ADMIN, "PutPolicy", request, lambda response: policy_value(response.policy))


def list_policies(project: str, page_token: str) -> Call[Page[Policy]]:
    request = message_of(
        rpc.ListPoliciesRequest, project=project, page_size=PAGE_SIZE, page_token=page_token
    )
    return Call(ADMIN, "ListPolicies", request, page_of("policies", policy_value))


def delete_policy(project: str, name: str, reason: str, request_id: str) -> Call[None]:
    request = message_of(
        rpc.DeletePolicyRequest,
        project=project,
        name=name,
        reason=reason,
        request_id=request_id or new_id(),
    )
    return Call(ADMIN, "DeletePolicy", request, lambda _: None)


def preview_retention(project: str, policy: Policy | None) -> Call[RetentionPreview]:
    request = message_of(
        rpc.PreviewRetentionRequest,
        project=project,
        policy=None if policy is None else policy_message(policy),
    )
    return Call(ADMIN, "PreviewRetention", request, preview_value)
