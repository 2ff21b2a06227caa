"""The models that clients may ask for."""

from fastapi import APIRouter

from cowabungaai_api.backends import Description
from cowabungaai_api.dependencies import BackendsDependency
from cowabungaai_api.schemas.models import ModelList, ModelObject

router = APIRouter(tags=["models"])


@router.get("/models")
async def list_models(backends: BackendsDependency) -> ModelList:
    """Lists the models, in the order of the configuration."""
    return ModelList(data=[_model_object(description) for description in await backends.describe()])


def _model_object(description: Description) -> ModelObject:
    return ModelObject(id=description.name, created=description.created, owned_by=description.owned_by)
