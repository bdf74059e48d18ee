"""What each RPC and route asks of its caller. What is not listed is denied.

The decision looks at the caller's grants and at the request, never at a run: a project that there
is not is refused as one that the caller may not see, and as fast.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import Message
from runstore_storage.contract.access import SERVER, Role, allowed
from runstore_storage.contract.scope import Scope

from runstore_server.convert.admin import owner_of
from runstore_server.convert.runs import project_of
from runstore_server.edge.errors import PermissionDenied
from runstore_server.edge.identity import Identity


@dataclass(frozen=True, slots=True)
class Rule:
    """Who may call: whoever has any of `roles` in the project, or any known caller without roles.

    `project` reads the project from the request, or from the message of a stream that names it;
    None where there is none. Where `is_per_message`, each message of the stream is decided for
    itself, and opening it asks only for a known caller.
    """

    roles: tuple[Role, ...] = ()
    project: Callable[[Any], str] | None = None
    is_per_message: bool = False


def _field(request: Any) -> str:
    return project_of(request.project)


def _append(message: Any) -> str:
    return project_of(message.append.project)


def _header(message: Any) -> str:
    return project_of(message.header.project)


def _of(service: str, rule: Rule, names: str) -> dict[str, Rule]:
    return {f"/runstore.v1.{service}/{name}": rule for name in names.split()}


_RECORD = Rule((Role.RECORDER,), _field)
_RECORD_EACH = Rule((Role.RECORDER,), _append, is_per_message=True)
_UPLOAD = Rule((Role.RECORDER,), _header)
_READ = Rule((Role.READER,), _field)
_WRITE = Rule((Role.WRITER,), _field)
_ADMINISTER = Rule((Role.ADMIN,), _field)
_OWN = Rule((Role.ADMIN, Role.OPERATOR), owner_of)
_OPERATE = Rule((Role.OPERATOR,), _field)
_ANYBODY = Rule()

ACCESS: Mapping[str, Rule] = {
    **_of("RunService", _RECORD, "SaveRun AppendEvent AppendEvents AppendMany"),
    **_of("RunService", _RECORD, "PutSnapshot PutTaskWrites CompleteRun"),
    **_of("RunService", _RECORD_EACH, "AppendEventStream"),
    **_of("RunService", _READ, "GetRun ListRuns ListEvents StreamEvents GetSnapshot"),
    **_of("RunService", _READ, "ListSnapshots GetOutput ReplayRun VerifyRun"),
    **_of("RunService", _READ, "SearchEvents GetStatistics"),
    **_of("RunService", _WRITE, "ResumeRun ForkRun"),
    **_of("RunService", _ADMINISTER, "DeleteSnapshots"),
    **_of("FeedService", _READ, "ReadFeed FollowFeed GetConsumer ListConsumers"),
    **_of("FeedService", _WRITE, "CommitPosition"),
    **_of("FeedService", _ADMINISTER, "ResetConsumer"),
    **_of("ConfigService", _READ, "GetVersion ListVersions ListConfigs ListLabelMoves"),
    **_of("ConfigService", _WRITE, "RegisterVersion"),
    **_of("ConfigService", _ADMINISTER, "SetLabel RemoveLabel"),
    **_of("ArtifactService", _UPLOAD, "UploadArtifact"),
    **_of("ArtifactService", _RECORD, "LinkArtifact"),
    **_of("ArtifactService", _READ, "GetArtifact ListArtifacts DownloadArtifact"),
    **_of("AdminService", _ANYBODY, "WhoAmI ListProjects"),
    **_of("AdminService", _OWN, "CreateToken ListTokens RevokeToken"),
    **_of("AdminService", _OWN, "ListAdminRecords VerifyAdminRecords"),
    **_of("AdminService", _ADMINISTER, "PlaceHold ReleaseHold ListHolds DeleteRun"),
    **_of("AdminService", _ADMINISTER, "PutPolicy ListPolicies DeletePolicy PreviewRetention"),
    **_of("AdminService", _ADMINISTER, "EraseEvents EraseSubject GetErasure"),
    **_of("AdminService", _ADMINISTER, "ArchiveRun RestoreRun"),
    **_of("AdminService", _OPERATE, "SetLimits GetLimits"),
    **_of("AdminService", _READ, "ExportRun ListRemovals"),
}
"""By the full name of the method."""

READS_OF_RUNS = frozenset(method for method, rule in ACCESS.items() if rule is _READ)
"""Those that show what runs of a project have, and what they share."""

READS = READS_OF_RUNS | frozenset(
    _of("AdminService", _OWN, "ListTokens ListAdminRecords VerifyAdminRecords")
    | _of("AdminService", _ADMINISTER, "ListHolds ListPolicies PreviewRetention GetErasure")
    | _of("AdminService", _OPERATE, "GetLimits")
)
"""The methods that change nothing and tell something of a project or of its access."""


def decide(identity: Identity, method: str, message: Any) -> Scope | None:
    """What the caller may touch; None where the call is about no project, or its messages say.

    Raise `PermissionDenied` if it may not call.
    """
    rule = ACCESS.get(method)
    if rule is None:
        raise PermissionDenied(SERVER, Role.OPERATOR)
    project = _project(rule, message)
    return None if project is None else check(identity, rule.roles, project)


def asked_by(method: str, message: Any) -> tuple[str, Role]:
    """The project of a call, SERVER for none, and the least role that it asks for."""
    rule = ACCESS[method]
    return _project(rule, message) or SERVER, rule.roles[0]


def _project(rule: Rule, message: Any) -> str | None:
    if rule.project is None or (rule.is_per_message and not isinstance(message, Message)):
        return None
    return rule.project(message)


def check(identity: Identity, roles: Sequence[Role], project: str) -> Scope:
    """The project as a scope; raise `PermissionDenied` if the caller has no such role there."""
    if any(allowed(identity.grants, role, project) for role in roles):
        return Scope(project)
    raise PermissionDenied(project, roles[0])
