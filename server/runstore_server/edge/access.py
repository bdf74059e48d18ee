"""What each RPC and route asks of its caller. What is not listed is denied.

The decision looks at the caller's grants and at the request, never at a run: a project that there
is not is refused as one that the caller may not see, and as fast.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from runstore_storage.contract.access import Role, allowed
from runstore_storage.contract.scope import Scope

from runstore_server.convert.admin import owner_of
from runstore_server.convert.runs import project_of
from runstore_server.edge.errors import PermissionDenied
from runstore_server.edge.identity import Identity


@dataclass(frozen=True, slots=True)
class Rule:
    """Who may call: a caller with any of `roles` in the project, or anybody known if there are none.

    `project` reads the project from the request, or from the message of the stream that names it;
    None where there is no project.
    """

    roles: tuple[Role, ...]
    project: Callable[[Any], str] | None


def _field(request: Any) -> str:
    return project_of(request.project)


def _append(message: Any) -> str:
    return project_of(message.append.project)


def _header(message: Any) -> str:
    return project_of(message.header.project)


def _rule(
    *roles: Role, project: Callable[[Any], str] | None = _field
) -> Callable[[str, str], dict[str, Rule]]:
    """The rule of methods of a service, which are given as names in one text."""

    def of(service: str, names: str) -> dict[str, Rule]:
        rule = Rule(roles, project)
        return {f"/runstore.v1.{service}/{name}": rule for name in names.split()}

    return of


_RECORD = _rule(Role.RECORDER)
_READ = _rule(Role.READER)
_WRITE = _rule(Role.WRITER)
_ADMINISTER = _rule(Role.ADMIN)
_OPERATE = _rule(Role.OPERATOR)
_OWN = _rule(Role.ADMIN, Role.OPERATOR, project=owner_of)
_ANYBODY = _rule(project=None)

ACCESS: Mapping[str, Rule] = {
    **_RECORD("RunService", "SaveRun AppendEvent AppendEvents AppendMany"),
    **_RECORD("RunService", "PutSnapshot PutTaskWrites CompleteRun"),
    **_rule(Role.RECORDER, project=_append)("RunService", "AppendEventStream"),
    **_READ("RunService", "GetRun ListRuns ListEvents StreamEvents GetSnapshot ListSnapshots"),
    **_READ("RunService", "GetOutput ReplayRun VerifyRun SearchEvents GetStatistics"),
    **_WRITE("RunService", "ResumeRun ForkRun"),
    **_ADMINISTER("RunService", "DeleteSnapshots"),
    **_READ("FeedService", "ReadFeed FollowFeed GetConsumer ListConsumers"),
    **_WRITE("FeedService", "CommitPosition"),
    **_ADMINISTER("FeedService", "ResetConsumer"),
    **_READ("ConfigService", "GetVersion ListVersions ListConfigs ListLabelMoves"),
    **_WRITE("ConfigService", "RegisterVersion"),
    **_ADMINISTER("ConfigService", "SetLabel RemoveLabel"),
    **_rule(Role.RECORDER, project=_header)("ArtifactService", "UploadArtifact"),
    **_RECORD("ArtifactService", "LinkArtifact"),
    **_READ("ArtifactService", "GetArtifact ListArtifacts DownloadArtifact"),
    **_ANYBODY("AdminService", "WhoAmI ListProjects"),
    **_OWN("AdminService", "CreateToken ListTokens RevokeToken"),
    **_OWN("AdminService", "ListAdminRecords VerifyAdminRecords"),
    **_OPERATE("AdminService", "SetLimits GetLimits"),
}
"""By the full name of the method."""

API = Rule((Role.READER,), None)
"""All of HTTP's /api; the project is where the route's parameters say."""


def decide(identity: Identity, rule: Rule, message: Any) -> Scope | None:
    """What the caller may touch; None where the call is about no project.

    Raise `PermissionDenied` if it may not call.
    """
    if rule.project is None:
        return None
    return check(identity, rule.roles, rule.project(message))


def check(identity: Identity, roles: tuple[Role, ...], project: str) -> Scope:
    """The project as a scope; raise `PermissionDenied` if the caller has none of the roles there."""
    if any(allowed(identity.grants, role, project) for role in roles):
        return Scope(project)
    raise PermissionDenied(project, roles[0])
