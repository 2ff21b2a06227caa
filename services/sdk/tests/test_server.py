# SPDX-License-Identifier: Apache-2.0
"""Health, reflection and drain."""

import asyncio
import time

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from cowabungaai_sdk import probe
from cowabungaai_sdk.errors import BackendUnavailableError, InvalidRequestError
from cowabungaai_sdk.server import BackendServer, ServerConfig, ServerStartError
from cowabungaai_sdk.v1.models_pb2 import LOAD_STATE_LOADING, LOAD_STATE_READY
from sample_backends import (
    Boastful,
    BoastfulLater,
    Everything,
    Gated,
    HalfLoaded,
    Incapable,
    Modelless,
    OneByOne,
    Twins,
    Words,
)

pytestmark = pytest.mark.anyio

NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
SERVING = health_pb2.HealthCheckResponse.SERVING


async def ask_health(target: str, service: str = "") -> int:
    async with grpc.aio.insecure_channel(target) as channel:
        request = health_pb2.HealthCheckRequest(service=service)
        return (await health_pb2_grpc.HealthStub(channel).Check(request)).status


@pytest.mark.parametrize("service", ["", "cowabungaai.v1.ChatService", "cowabungaai.v1.ModelService"])
@pytest.mark.parametrize(("load", "status"), [(False, NOT_SERVING), (True, SERVING)])
async def test_health_says_whether_the_model_is_loaded(serve, load, status, service):
    served = await serve(Words(), load=load)
    assert await ask_health(served.target, service) == status


async def test_calls_are_refused_until_the_model_is_loaded(serve, request_):
    client = (await serve(Words(), load=False)).client
    with pytest.raises(BackendUnavailableError, match="loading"):
        await client.chat(request_)


@pytest.mark.parametrize(("load", "status"), [(True, 0), (False, 1)])
async def test_probe_exits_as_health_says(serve, load, status):
    served = await serve(Words(), load=load)
    assert await asyncio.to_thread(probe.main, [served.target]) == status


def test_probe_of_nothing_exits_with_3(free_tcp_port):
    assert probe.main([f"127.0.0.1:{free_tcp_port}", "--timeout", "1"]) == 3


async def test_reflection_lists_the_services(serve):
    target = (await serve(Words())).target
    async with grpc.aio.insecure_channel(target) as channel:
        request = reflection_pb2.ServerReflectionRequest(list_services="")
        call = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(iter([request]))
        answer = await anext(aiter(call))
    assert {service.name for service in answer.list_services_response.service} == {
        "cowabungaai.v1.ChatService",
        "cowabungaai.v1.ModelService",
        "grpc.health.v1.Health",
        "grpc.reflection.v1alpha.ServerReflection",
    }


async def test_drain_lets_a_call_finish(serve, request_):
    backend = Gated()
    served = await serve(backend, drain_s=5)
    answer = asyncio.create_task(served.client.chat(request_))
    await backend.begun.wait()
    stopping = asyncio.create_task(served.server.stop())
    await asyncio.sleep(0.05)
    backend.gate.set()
    assert (await answer).choices[0].message.content[0].text == "one"
    await stopping


async def test_drain_ends_a_call_that_outlives_the_grace_period(serve, request_):
    backend = Gated()
    served = await serve(backend, drain_s=0.1)
    answer = asyncio.create_task(served.client.chat(request_))
    await backend.begun.wait()
    await served.server.stop()
    with pytest.raises(BackendUnavailableError):
        await answer


async def test_drain_shows_in_health_while_calls_go_on(serve, request_):
    backend = Gated()
    served = await serve(backend, drain_s=5)
    async with grpc.aio.insecure_channel(served.target) as channel:
        watch = aiter(health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest()))
        before = (await anext(watch)).status
        answer = asyncio.create_task(served.client.chat(request_))
        await backend.begun.wait()
        stopping = asyncio.create_task(served.server.stop())
        assert (before, (await anext(watch)).status) == (SERVING, NOT_SERVING)
        backend.gate.set()
        await asyncio.gather(answer, stopping)


async def test_drain_refuses_new_calls_while_old_ones_go_on(serve, request_):
    backend = Gated()
    served = await serve(backend, drain_s=5)
    answer = asyncio.create_task(served.client.chat(request_))
    await backend.begun.wait()
    stopping = asyncio.create_task(served.server.stop())
    await asyncio.sleep(0)
    with pytest.raises(BackendUnavailableError, match="stopping"):
        await served.client.chat(request_)
    backend.gate.set()
    await asyncio.gather(answer, stopping)


async def test_drain_does_not_wait_for_health_watches(serve):
    served = await serve(Words(), drain_s=30)
    async with grpc.aio.insecure_channel(served.target) as channel:
        await anext(aiter(health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())))
        started = time.monotonic()
        await served.server.stop()
    assert time.monotonic() - started < 5


async def test_stop_closes_the_backend(serve):
    backend = Words()
    await (await serve(backend)).server.stop()
    assert backend.closed.is_set()


async def test_port_in_use_is_said(serve):
    port = int((await serve(Words())).target.rpartition(":")[2])
    second = BackendServer(Words(), ServerConfig("127.0.0.1", port))
    with pytest.raises(ServerStartError, match=f"cannot listen on 127.0.0.1:{port}"):
        await second.start()


@pytest.mark.parametrize(
    ("backend", "message"),
    [
        (Incapable(), "Incapable can do nothing"),
        (Modelless(), "Modelless has no models"),
        (Twins(), "'words' is empty or there twice"),
        (Boastful(), "'words' lists CAPABILITY_EMBEDDING, which Boastful lacks; implement EmbeddingBackend"),
    ],
)
async def test_backend_that_contradicts_itself_is_refused(backend, message):
    with pytest.raises(ServerStartError, match=message):
        BackendServer(backend, ServerConfig())


async def test_backend_that_contradicts_itself_once_loaded_is_refused(serve):
    with pytest.raises(ServerStartError, match="which BoastfulLater lacks"):
        await serve(BoastfulLater())


@pytest.mark.parametrize(("load", "state"), [(False, LOAD_STATE_LOADING), (True, LOAD_STATE_READY)])
async def test_models_are_listed_with_their_state_also_while_they_load(serve, load, state):
    models = await (await serve(Words(), load=load)).client.models()
    assert [(model.id, model.state) for model in models] == [("words", state)]


async def test_model_that_failed_to_load_is_unavailable_beside_others(serve, request_):
    client = (await serve(HalfLoaded())).client
    await client.chat(request_)
    request_.model = "broken"
    with pytest.raises(BackendUnavailableError, match="'broken' is not ready: failed"):
        await client.chat(request_)


async def test_model_without_the_capability_is_refused(serve, request_):
    client = (await serve(Everything())).client
    request_.model = "mute"
    with pytest.raises(InvalidRequestError, match="'mute' cannot do CAPABILITY_CHAT; words can") as raised:
        await client.chat(request_)
    assert (raised.value.param, raised.value.code_name) == ("model", "unsupported_operation")


async def test_drain_lets_a_queued_call_finish(serve, request_):
    backend = OneByOne()
    served = await serve(backend, drain_s=5)
    answers = [asyncio.create_task(served.client.chat(request_)) for _ in range(2)]
    await backend.begun.wait()
    await asyncio.sleep(0.05)
    stopping = asyncio.create_task(served.server.stop())
    await asyncio.sleep(0.05)
    backend.gate.set()
    assert [(await answer).choices[0].message.content[0].text for answer in answers] == ["one", "one"]
    await stopping


async def test_ipv6_address_is_bracketed():
    assert ServerConfig("::1", 50051).address == "[::1]:50051"
