# SPDX-License-Identifier: Apache-2.0
"""Slots and the queue, through server kit and client."""

import asyncio

import pytest

from cowabungaai_sdk.admission import Admission
from cowabungaai_sdk.errors import BackendOverloadedError
from sample_backends import OneByOne

pytestmark = pytest.mark.anyio


async def hold(admission: Admission, gate: asyncio.Event) -> float:
    async with admission.slot() as waited_s:
        await gate.wait()
        return waited_s


async def settle() -> None:
    """Lets every task go on until it waits."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_no_more_calls_work_than_there_are_slots():
    admission, gate = Admission(2, 8), asyncio.Event()
    tasks = [asyncio.create_task(hold(admission, gate)) for _ in range(5)]
    await settle()
    assert (admission.working, admission.waiting) == (2, 3)
    gate.set()
    await asyncio.gather(*tasks)
    assert (admission.working, admission.waiting) == (0, 0)


async def test_without_a_limit_all_work():
    admission, gate = Admission(None, 0), asyncio.Event()
    tasks = [asyncio.create_task(hold(admission, gate)) for _ in range(5)]
    await settle()
    assert (admission.working, admission.waiting) == (5, 0)
    gate.set()
    await asyncio.gather(*tasks)


async def test_first_come_first_served():
    admission, order = Admission(1, 8), []

    async def work(number: int) -> None:
        async with admission.slot():
            order.append(number)
            await asyncio.sleep(0)

    await asyncio.gather(*(work(number) for number in range(5)))
    assert order == [0, 1, 2, 3, 4]


async def test_call_that_leaves_the_queue_frees_its_place():
    admission, gate = Admission(1, 1), asyncio.Event()
    holder = asyncio.create_task(hold(admission, gate))
    await settle()
    leaver = asyncio.create_task(hold(admission, gate))
    await settle()
    leaver.cancel()
    await settle()
    follower = asyncio.create_task(hold(admission, gate))
    await settle()
    assert (admission.waiting, follower.done()) == (1, False)
    gate.set()
    await asyncio.gather(holder, follower)


async def test_wait_is_measured():
    admission, gate = Admission(1, 1), asyncio.Event()
    holder = asyncio.create_task(hold(admission, gate))
    await settle()
    waiter = asyncio.create_task(hold(admission, gate))
    await asyncio.sleep(0.05)
    gate.set()
    assert await holder < 0.01
    assert 0.04 < await waiter < 1


async def test_full_queue_refuses_and_estimates_from_what_calls_took():
    admission = Admission(1, 0)
    async with admission.slot():
        await asyncio.sleep(0.05)
    async with admission.slot():
        with pytest.raises(BackendOverloadedError, match="all 1 slots are taken and 0 calls wait") as raised:
            async with admission.slot():
                raise AssertionError("there was no slot")
    assert 0.04 < raised.value.retry_after_s < 1


async def test_estimate_is_left_out_while_nothing_is_known():
    admission = Admission(1, 0)
    async with admission.slot():
        with pytest.raises(BackendOverloadedError) as raised:
            async with admission.slot():
                raise AssertionError("there was no slot")
    assert raised.value.retry_after_s is None


async def test_server_takes_the_backends_own_limit(serve, request_):
    backend = OneByOne()
    client = (await serve(backend, max_queue=0)).client
    first = asyncio.create_task(client.chat(request_))
    await backend.begun.wait()
    with pytest.raises(BackendOverloadedError):
        await client.chat(request_)
    backend.gate.set()
    await first


@pytest.mark.parametrize(("limit", "refused"), [(0, 0), (2, 1)])
async def test_setting_wins_over_the_backends_own_limit(serve, request_, limit, refused):
    backend = OneByOne()
    client = (await serve(backend, max_queue=0, max_concurrency=limit)).client
    calls = [asyncio.create_task(client.chat(request_)) for _ in range(3)]
    await backend.begun.wait()
    await asyncio.sleep(0.05)
    backend.gate.set()
    answers = await asyncio.gather(*calls, return_exceptions=True)
    assert sum(isinstance(answer, BackendOverloadedError) for answer in answers) == refused


async def test_client_that_leaves_the_queue_is_not_served(serve, request_):
    backend = OneByOne()
    client = (await serve(backend)).client
    first = asyncio.create_task(client.chat(request_))
    await backend.begun.wait()
    second = asyncio.create_task(client.chat(request_))
    await asyncio.sleep(0.05)
    second.cancel()
    await asyncio.sleep(0.05)
    backend.begun.clear()
    backend.gate.set()
    await first
    await asyncio.sleep(0.05)
    assert not backend.begun.is_set()


async def test_cancelled_call_frees_its_slot(serve, request_):
    backend = OneByOne()
    client = (await serve(backend, max_queue=0)).client
    first = asyncio.create_task(client.chat(request_))
    await backend.begun.wait()
    first.cancel()
    await asyncio.wait_for(backend.cancelled.wait(), 1)
    backend.gate.set()
    await asyncio.sleep(0.05)
    assert (await client.chat(request_)).choices


async def test_deadline_ends_the_wait_for_a_slot(serve, request_):
    backend = OneByOne()
    client = (await serve(backend)).client
    first = asyncio.create_task(client.chat(request_))
    await backend.begun.wait()
    with pytest.raises(Exception, match="deadline"):
        await client.chat(request_, timeout_s=0.1)
    backend.gate.set()
    await first
