"""What is refused of artifacts."""

from __future__ import annotations

from runstore_storage.contract.errors.base import StorageError


class ArtifactNotFound(StorageError):
    def __init__(self, project: str, artifact: str) -> None:
        super().__init__(
            f"project {project!r} has no artifact {artifact}", project=project, artifact=artifact
        )


class ContentMismatch(StorageError):
    def __init__(self, what: str, expected: object, actual: object) -> None:
        super().__init__(
            f"the {what} of the bytes is {actual}, not {expected}",
            what=what,
            expected=expected,
            actual=actual,
        )


class RangeBeyondEnd(StorageError):
    def __init__(self, artifact_id: str, offset: int, length: int, size: int) -> None:
        super().__init__(
            f"artifact {artifact_id!r} has {size} bytes; {length} from {offset} on exceed it",
            artifact_id=artifact_id,
            offset=offset,
            length=length,
            size=size,
        )


class ArtifactIsLink(StorageError):
    def __init__(self, artifact_id: str, url: str) -> None:
        message = f"artifact {artifact_id!r} is a link: its bytes are at {url}"
        super().__init__(message, artifact_id=artifact_id, url=url)
