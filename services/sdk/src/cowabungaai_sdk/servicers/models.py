"""ModelService on top of any backend."""

from cowabungaai_sdk.backend import Backend
from cowabungaai_sdk.servicers.calls import Calls, Context
from cowabungaai_sdk.v1.models_pb2 import ListModelsRequest, ListModelsResponse
from cowabungaai_sdk.v1.models_pb2_grpc import ModelServiceServicer


class ModelServicer(ModelServiceServicer):
    """Says what the backend serves.

    Args:
        backend: the backend.
        calls: the server's calls.
    """

    def __init__(self, backend: Backend, calls: Calls) -> None:
        self._backend = backend
        self._calls = calls

    async def ListModels(self, request: ListModelsRequest, context: Context) -> ListModelsResponse:
        """Lists the backend's models; see models.proto."""
        async with self._calls.serve("ListModels", context):
            return ListModelsResponse(models=self._backend.models())
        raise AssertionError("unreachable: serve aborts the call where the body raises")
