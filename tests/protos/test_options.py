"""What generators of other languages read in the contracts: these names must not change."""

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from runstore_server.edge.reflection import CONTRACTS

FILES = FileDescriptorSet.FromString(CONTRACTS.read_bytes()).file


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_generated_code_has_the_same_package_from_every_file(file: FileDescriptorProto) -> None:
    options = file.options
    noun = file.name.rpartition("/")[2].removesuffix(".proto")

    assert options.csharp_namespace == "Runstore.V1"
    assert options.go_package == "github.com/runstore/runstore/clients/go/v1;runstorev1"
    assert options.java_multiple_files
    assert options.java_outer_classname == f"{noun.title().replace('_', '')}Proto"
    assert options.java_package == "com.runstore.v1"
    assert options.php_namespace == "Runstore\\V1"
    assert options.ruby_package == "Runstore::V1"
