"""Server reflection, v1 and v1alpha; the two differ only in the name of their package."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import descriptor_pool, text_format
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from grpc_reflection.v1alpha import reflection, reflection_pb2
from runstore.v1 import errors_pb2  # noqa: F401 - puts the reasons into the pool

CONTRACTS = Path(__file__).with_name("contracts.binpb")
V1 = "grpc.reflection.v1.ServerReflection"


def enable(services: tuple[str, ...], server: grpc.aio.Server) -> None:
    """Let clients such as grpcurl discover the services."""
    names = (*services, reflection.SERVICE_NAME, V1)
    pool: Any = Descriptors()
    reflection.enable_server_reflection(names, server, pool)
    servicer = reflection.aio.ReflectionServicer(service_names=names, pool=pool)
    handler = grpc.stream_stream_rpc_method_handler(
        servicer.ServerReflectionInfo,
        request_deserializer=reflection_pb2.ServerReflectionRequest.FromString,
        response_serializer=reflection_pb2.ServerReflectionResponse.SerializeToString,
    )
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(V1, {"ServerReflectionInfo": handler}),)
    )


class Descriptors:
    """Python's pool of descriptors, with three things that reflection needs.

    The pool lacks v1 of reflection itself, which tools ask for because it is listed, does not find
    a file by the name of a method, and drops the comments of our contracts.
    """

    def __init__(self) -> None:
        self._pool: Any = descriptor_pool.Default()
        self._v1 = descriptor_pool.DescriptorPool()
        self._v1.Add(_v1_file())
        files = FileDescriptorSet.FromString(CONTRACTS.read_bytes()).file
        self._commented = {file.name: file for file in files}

    def FindFileByName(self, name: str) -> Any:  # noqa: N802 - as the pool's
        """Return the file, or raise KeyError."""
        try:
            found = self._pool.FindFileByName(name)
        except KeyError:
            found = self._v1.FindFileByName(name)
        return Commented(found, self._commented)

    def FindFileContainingSymbol(self, symbol: str) -> Any:  # noqa: N802 - as the pool's
        """Return the file that defines the symbol, which may be a method, or raise KeyError."""
        for pool in (self._pool, self._v1):
            for name in (symbol, *_service_of(pool, symbol)):
                try:
                    return Commented(pool.FindFileContainingSymbol(name), self._commented)
                except KeyError:
                    continue
        raise KeyError(symbol)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pool, name)


class Commented:
    """A file of a pool, described with its comments where they are known."""

    def __init__(self, file: Any, commented: Mapping[str, FileDescriptorProto]) -> None:
        self._file = file
        self._commented = commented

    @property
    def name(self) -> str:
        return str(self._file.name)

    @property
    def dependencies(self) -> list[Commented]:
        return [Commented(each, self._commented) for each in self._file.dependencies]

    def CopyToProto(self, proto: FileDescriptorProto) -> None:  # noqa: N802 - as a file's
        """Write the description into `proto`."""
        self._file.CopyToProto(proto)
        if known := self._commented.get(self.name):
            proto.source_code_info.CopyFrom(known.source_code_info)


def _service_of(pool: Any, symbol: str) -> tuple[str, ...]:
    """The name of the service that has the symbol as its method, if there is one."""
    name, _, method = symbol.rpartition(".")
    try:
        return (name,) if method in pool.FindServiceByName(name).methods_by_name else ()
    except KeyError:
        return ()


def _v1_file() -> FileDescriptorProto:
    alpha = FileDescriptorProto()
    reflection_pb2.DESCRIPTOR.CopyToProto(alpha)
    text = text_format.MessageToString(alpha).replace("v1alpha", "v1")
    return text_format.Parse(text, FileDescriptorProto())
