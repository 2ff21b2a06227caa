# SPDX-License-Identifier: Apache-2.0
"""Which replica gets a request, and who waits."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Sequence

import pytest

from cowabungaai_api.config.file import Backend
from cowabungaai_api.routing.pool import Pool
from cowabungaai_api.upstream.base import Call, Operation, Reply
from cowabungaai_sdk.errors import BackendOverloadedError, BackendUnavailableError
from cowabungaai_sdk.v1.models_pb2 import Model

pytestmark = pytest.mark.anyio
THREE = ("grpc://a:1", "grpc://b:1", "grpc://c:1")


class Way:
    """The way to a replica that nobody goes."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.closed = False

    async def unary(self, operation: Operation, call: Call, model: str) -> Reply:
        raise NotImplementedError

    def stream(self, operation: Operation, call: Call, model: str) -> AsyncGenerator[bytes, None]:
        raise NotImplementedError

    async def healthy(self, timeout_s: float) -> bool:
        raise NotImplementedError

    async def models(self, timeout_s: float) -> Sequence[Model]:
        raise NotImplementedError

    async def close(self) -> None:
        self.closed = True


def pool(replicas: Sequence[str] = THREE, **config: object) -> Pool:
    return Pool("backend", Backend(replicas=tuple(replicas), **config), Way)


async def test_less_busy_replica_is_preferred():
    found = pool()
    for _ in range(300):
        await found.acquire(None)
    assert max(r.outstanding for r in found.replicas) - min(r.outstanding for r in found.replicas) <= 6


async def test_replica_that_failed_the_request_is_not_asked_again():
    found = pool()
    tried = found.replicas[:2]
    assert {(await found.acquire(None, tried)).address for _ in range(20)} == {"grpc://c:1"}


async def test_no_untried_replica_is_unavailable():
    found = pool()
    with pytest.raises(BackendUnavailableError, match="no replica of backend is ready"):
        await found.acquire(None, found.replicas)


@pytest.mark.parametrize("change", ["unhealthy", "ejected"])
async def test_replica_in_trouble_is_left_alone(change):
    found = pool()
    if change == "unhealthy":
        found.replicas[0].checked(healthy=False)
    else:
        assert found.replicas[0].has_failed(asyncio.get_running_loop().time(), unreachable=True)
    assert "grpc://a:1" not in {(await found.acquire(None)).address for _ in range(50)}


async def test_ejected_replicas_are_better_than_none_but_unhealthy_ones_are_not():
    found = pool(THREE[:2])
    for replica in found.replicas:
        replica.has_failed(asyncio.get_running_loop().time(), unreachable=True)
    found.replicas[0].healthy = False
    assert {(await found.acquire(None)).address for _ in range(20)} == {"grpc://b:1"}


async def test_ejection_needs_failures_in_a_row_and_grows():
    replica = pool(ejection={"failures": 2, "base_s": 1, "max_s": 3}).replicas[0]
    assert [replica.has_failed(0.0, unreachable=False) for _ in range(2)] == [False, True]
    pauses = [replica.ejected_until]
    for now in (100.0, 200.0, 300.0):
        assert replica.has_failed(now, unreachable=True)
        pauses.append(replica.ejected_until - now)
    assert 0.8 <= pauses[0] <= 1
    assert 1.6 <= pauses[1] <= 2
    assert all(2.4 <= pause <= 3 for pause in pauses[2:])


async def test_answer_ends_a_row_of_failures():
    replica = pool(ejection={"failures": 2}).replicas[0]
    replica.has_failed(0.0, unreachable=False)
    replica.succeeded()
    assert not replica.has_failed(0.0, unreachable=False)


@pytest.mark.parametrize("unreachable", [True, False])
async def test_good_health_check_ends_the_ejection_of_what_could_not_be_reached_alone(unreachable):
    replica = pool(ejection={"failures": 1}).replicas[0]
    replica.has_failed(0.0, unreachable=unreachable)
    assert not replica.usable(0.0)
    replica.checked(healthy=True)
    assert replica.usable(0.0) is unreachable


async def test_same_key_goes_to_the_same_replica_and_keys_spread():
    found = pool(affinity=True)
    homes = {}
    for key in (b"%d" % number for number in range(60)):
        replicas = set()
        for _ in range(3):
            replica = await found.acquire(key)
            replicas.add(replica.address)
            found.release(replica)
        assert len(replicas) == 1
        homes[key] = replicas.pop()
    assert all(count >= 8 for count in Counter(homes.values()).values())


async def test_most_keys_stay_where_they_are_when_a_replica_is_added():
    found = pool(affinity=True)

    async def homes() -> list[str]:
        out = []
        for number in range(200):
            replica = await found.acquire(b"%d" % number)
            out.append(replica.address)
            found.release(replica)
        return out

    before = await homes()
    found.set_addresses((*THREE, "grpc://d:1"))
    after = await homes()
    moved = [new for old, new in zip(before, after, strict=True) if old != new]
    assert set(moved) == {"grpc://d:1"}
    assert 20 <= len(moved) <= 90


async def test_busy_home_does_not_keep_its_keys():
    found = pool(affinity=True)
    home = await found.acquire(b"key")
    home.outstanding += 50
    assert (await found.acquire(b"key")) is not home


async def test_request_waits_while_all_are_busy_and_gets_the_first_free_place():
    found = pool(concurrency=1)
    taken = [await found.acquire(None) for _ in range(3)]
    waiting = asyncio.create_task(found.acquire(None))
    await asyncio.sleep(0)
    assert found.waiting == 1
    found.release(taken[1])
    assert (await waiting) is taken[1]


async def test_queue_is_first_come_first_served():
    found = pool(THREE[:1], concurrency=1)
    taken = await found.acquire(None)
    order: list[int] = []

    async def ask(number: int) -> None:
        replica = await found.acquire(None)
        order.append(number)
        await asyncio.sleep(0)
        found.release(replica)

    tasks = [asyncio.create_task(ask(number)) for number in range(5)]
    await asyncio.sleep(0)
    found.release(taken)
    await asyncio.gather(*tasks)
    assert order == [0, 1, 2, 3, 4]


async def test_full_queue_is_overloaded():
    found = pool(THREE[:1], concurrency=1, queue=0)
    await found.acquire(None)
    with pytest.raises(BackendOverloadedError, match="queue of backend is full") as raised:
        await found.acquire(None)
    assert raised.value.retry_after_s > 0


async def test_waiting_too_long_is_overloaded_and_leaves_the_queue():
    found = pool(THREE[:1], concurrency=1, queue_timeout_s=0.01)
    await found.acquire(None)
    with pytest.raises(BackendOverloadedError, match=r"within 0\.01 s"):
        await found.acquire(None)
    assert found.waiting == 0


async def test_caller_that_leaves_the_queue_gives_its_place_to_the_next():
    found = pool(THREE[:1], concurrency=1)
    taken = await found.acquire(None)
    first, second = (asyncio.create_task(found.acquire(None)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.sleep(0)
    found.release(taken)
    assert (await second) is taken
    assert found.waiting == 0


async def test_turn_of_a_caller_that_leaves_at_that_moment_goes_to_the_next():
    found = pool(THREE[:1], concurrency=1)
    taken = await found.acquire(None)
    first, second = (asyncio.create_task(found.acquire(None)) for _ in range(2))
    await asyncio.sleep(0)
    found.release(taken)
    first.cancel()
    assert (await asyncio.wait_for(second, 1)) is taken
    assert taken.outstanding == 1


async def test_caller_that_has_tried_what_is_free_lets_the_next_go_first():
    found = pool(THREE[:2], concurrency=1)
    both = [await found.acquire(None) for _ in range(2)]
    retry = asyncio.create_task(found.acquire(None, [both[0]]))
    fresh = asyncio.create_task(found.acquire(None))
    await asyncio.sleep(0)
    found.release(both[0])
    assert (await asyncio.wait_for(fresh, 1)) is both[0]
    found.release(both[1])
    assert (await asyncio.wait_for(retry, 1)) is both[1]


async def test_closed_pool_answers_those_who_wait():
    found = pool(THREE[:1], concurrency=1)
    taken = await found.acquire(None)
    waiting = asyncio.create_task(found.acquire(None))
    await asyncio.sleep(0)
    await found.close()
    found.release(taken)
    assert (await asyncio.wait_for(waiting, 1)) is taken
    found.release(taken)
    await asyncio.sleep(0)
    assert taken.upstream.closed


async def test_removed_replica_finishes_what_it_has():
    found = pool()
    replica = await found.acquire(None, found.replicas[1:])
    found.set_addresses(THREE[1:])
    await asyncio.sleep(0)
    assert not replica.upstream.closed
    found.release(replica)
    await asyncio.sleep(0)
    assert replica.upstream.closed


async def test_kept_replica_stays_the_same():
    found = pool()
    kept = found.replicas[1]
    found.set_addresses(("grpc://z:1", "grpc://b:1"))
    assert found.replicas[1] is kept
