"""Puts into etcd over its gRPC API, which is described here as far as it is used."""

from __future__ import annotations

from functools import cache, partial
from typing import Any
from uuid import uuid4

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from bench.jobs.channels import channel
from bench.jobs.repeating import repeated
from bench.payloads import PAYLOADS

PUT = "/etcdserverpb.KV/Put"
# Field numbers of etcdserverpb.PutRequest.
KEY, VALUE = 1, 2


@cache
def _messages() -> tuple[Any, Any]:
    """The request and the answer; what the answer holds is not looked at."""
    file = descriptor_pb2.FileDescriptorProto(name="bench/etcd.proto", syntax="proto3")
    file.package = "bench.etcd"
    request = file.message_type.add(name="PutRequest")
    for name, number in (("key", KEY), ("value", VALUE)):
        kind = descriptor_pb2.FieldDescriptorProto
        request.field.add(name=name, number=number, type=kind.TYPE_BYTES, label=kind.LABEL_OPTIONAL)
    file.message_type.add(name="PutResponse")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return tuple(
        message_factory.GetMessageClass(pool.FindMessageTypeByName(f"bench.etcd.{name}"))
        for name in ("PutRequest", "PutResponse")
    )


async def puts(address: str, in_flight: int, seconds: float) -> dict[str, Any]:
    """Put, so many at a time, always a new key; values are the events' payloads."""
    request, response = _messages()
    put = channel(address).unary_unary(
        PUT, request_serializer=request.SerializeToString, response_deserializer=response.FromString
    )

    async def write(number: int) -> int:
        value = PAYLOADS[number % len(PAYLOADS)].encode()
        await put(request(key=str(uuid4()).encode(), value=value))
        return 1

    return await repeated([partial(write, number) for number in range(in_flight)], seconds)
