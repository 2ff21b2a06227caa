# SPDX-License-Identifier: Apache-2.0
"""How models and backends are; endpoints of our own."""

import asyncio

from fastapi import APIRouter

from cowabungaai_api.dependencies import Admin, Caller, StateDependency
from cowabungaai_api.schemas.states import BackendState, BackendStates, ModelState, ModelStates, ReplicaState
from cowabungaai_sdk.v1.models_pb2 import LOAD_STATE_LOADING, Capability

router = APIRouter(prefix="/states", tags=["states"])


@router.get("/models")
async def model_states(state: StateDependency, caller: Caller) -> ModelStates:
    """Tells how each model is that the caller may use."""
    models = [model for model in state.config.models if caller.may_use(model.name)]
    # The configuration may change while backends are asked.
    pools = {model.name: state.router.routes[model.name].pool for model in models}
    described = await state.router.describe(list(pools), fresh=True)
    states = []
    for model in models:
        found = described.get(model.name)
        pool = pools[model.name]
        loading = found is not None and found.state == LOAD_STATE_LOADING
        states.append(
            ModelState(
                id=model.name,
                aliases=list(model.aliases),
                state="loading" if loading else "ready" if pool.ready else "unavailable",
                backend=pool.name,
                fallbacks=list(model.fallbacks),
                capabilities=[
                    Capability.Name(c).removeprefix("CAPABILITY_").lower()
                    for c in (found.capabilities if found else ())
                ],
                context_length=found.context_length if found and found.HasField("context_length") else None,
                dimensions=found.dimensions if found and found.HasField("dimensions") else None,
            )
        )
    return ModelStates(data=states)


@router.get("/backends")
async def backend_states(state: StateDependency, caller: Admin) -> BackendStates:
    """Tells how each backend and each of its replicas is. Needs an admin key: addresses are the cluster's affair."""
    now = asyncio.get_running_loop().time()
    return BackendStates(
        data=[
            BackendState(
                id=pool.name,
                ready=pool.ready,
                waiting=pool.waiting,
                models=[route.name for route in state.router.routes.values() if route.pool is pool],
                replicas=[
                    ReplicaState(
                        address=replica.address,
                        state=replica.state(now),
                        outstanding=replica.outstanding,
                        answered=replica.answered,
                        failed=replica.failed,
                    )
                    for replica in pool.replicas
                ],
            )
            for pool in state.router.pools.values()
        ]
    )
