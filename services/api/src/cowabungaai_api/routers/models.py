# SPDX-License-Identifier: Apache-2.0
"""The models that the caller may ask for."""

from fastapi import APIRouter

from cowabungaai_api.dependencies import Caller, StateDependency
from cowabungaai_api.errors import model_not_found
from cowabungaai_api.schemas.errors import ErrorBody
from cowabungaai_api.schemas.models import ModelList, ModelObject
from cowabungaai_api.state import State

router = APIRouter(tags=["models"])


@router.get("/models")
async def list_models(state: StateDependency, caller: Caller) -> ModelList:
    """Lists the models in the order of the configuration, each followed by its aliases."""
    models = [model for model in state.config.models if caller.may_use(model.name)]
    names = [(name, model.name) for model in models for name in (model.name, *model.aliases)]
    return ModelList(data=await _objects(state, names))


@router.get("/models/{model:path}", responses={404: {"model": ErrorBody}})
async def get_model(model: str, state: StateDependency, caller: Caller) -> ModelObject:
    """Describes a model, by its name or an alias."""
    route = state.router.route(model)
    if not caller.may_use(route.name):
        raise model_not_found(model)
    return (await _objects(state, [(model, route.name)]))[0]


async def _objects(state: State, names: list[tuple[str, str]]) -> list[ModelObject]:
    """Describes models; a backend's own description counts, and where there is none, when the gateway learnt of it."""
    # The configuration may change while backends are asked.
    routes = {own: state.router.routes[own] for _, own in names}
    described = await state.router.describe(list(routes))
    objects = []
    for name, own in names:
        found = described.get(own)
        created = (found.created if found else 0) or routes[own].created
        owner = (found.owned_by if found else "") or "cowabungaai"
        objects.append(ModelObject(id=name, created=created, owned_by=owner))
    return objects
