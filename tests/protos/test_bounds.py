"""The bounds in the contracts' comments are the bounds that the server enforces."""

import re
from collections.abc import Iterator
from pathlib import Path

import google.rpc.status_pb2
import grpc_tools
import pytest
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorSet
from grpc_tools import protoc
from runstore_server.validation.requests import NO_RULES, RULES

PROTOS = Path(__file__).parents[2] / "protos"
MESSAGE_TYPE, FIELD = 4, 2
# Bounded by their type.
FREE = {
    FieldDescriptorProto.TYPE_MESSAGE,
    FieldDescriptorProto.TYPE_ENUM,
    FieldDescriptorProto.TYPE_BOOL,
    FieldDescriptorProto.TYPE_BYTES,
}
# Sent only by the server.
NOT_SENT = {
    *("Run", "Event.seq", "Output.revision", "Payload.json", "FeedEntry", "Consumer"),
    *("Config", "ConfigVersion", "ConfigLabel", "LabelMove", "Artifact"),
    *("SearchHit", "SearchHighlight", "ForkBase", "StatisticsRow"),
    *("Token", "Principal", "AdminRecord", "Hold", "Removal", "RetentionSum"),
    *("Erasure", "ErasureBlocker", "Archive"),
}
ANSWERS = re.compile(
    r".*Response$|(Feed)?(CaughtUp|Heartbeat)|EndOfRun|EventBatch|FeedBatch|ChainBreak"
)


@pytest.fixture(scope="module")
def contracts(tmp_path_factory: pytest.TempPathFactory) -> FileDescriptorSet:
    image = tmp_path_factory.mktemp("image") / "image.binpb"
    includes = (PROTOS, Path(google.rpc.status_pb2.__file__).parents[2])
    well_known = Path(grpc_tools.__file__).parent / "_proto"
    files = sorted(str(path.relative_to(PROTOS)) for path in PROTOS.glob("runstore/v1/*.proto"))
    arguments = [f"-I{path}" for path in (*includes, well_known)]
    arguments += ["--include_source_info", f"--descriptor_set_out={image}", *files]
    assert protoc.main(["protoc", *arguments]) == 0
    return FileDescriptorSet.FromString(image.read_bytes())


def fields(contracts: FileDescriptorSet) -> Iterator[tuple[str, FieldDescriptorProto, str]]:
    """(message, field, comment) of every field."""
    for file in contracts.file:
        comments = {
            tuple(place.path): place.leading_comments for place in file.source_code_info.location
        }
        for m, message in enumerate(file.message_type):
            for f, field in enumerate(message.field):
                yield message.name, field, comments.get((MESSAGE_TYPE, m, FIELD, f), "")


def test_comments_and_rules_say_the_same(contracts: FileDescriptorSet) -> None:
    said = {
        (message, field.name): bounds[1]
        for message, field, comment in fields(contracts)
        if (bounds := re.search(r"Bounds: (.*?)\.\s*$", comment))
    }
    enforced = {
        (message, name): str(bound)
        for message, rules in RULES.items()
        for name, bound in rules.bounds.items()
    }

    assert said == enforced


def test_every_string_and_number_that_is_sent_has_a_bound(contracts: FileDescriptorSet) -> None:
    unbounded = [
        f"{message}.{field.name}"
        for message, field, _ in fields(contracts)
        if field.type not in FREE
        and field.name not in RULES.get(message, NO_RULES).bounds
        and message not in NOT_SENT
        and f"{message}.{field.name}" not in NOT_SENT
        and not ANSWERS.fullmatch(message)
    ]

    assert unbounded == []


def test_a_message_is_required_where_its_comment_says_so(contracts: FileDescriptorSet) -> None:
    said = {
        (message, field.name)
        for message, field, comment in fields(contracts)
        if comment.rstrip().endswith("Required.")
    }

    assert said == {(message, name) for message, rules in RULES.items() for name in rules.required}
