# SPDX-License-Identifier: Apache-2.0
"""ModelService on top of any backend."""

from cowabungaai_sdk.catalog import Catalog
from cowabungaai_sdk.servicers.calls import Calls, Context
from cowabungaai_sdk.v1.models_pb2 import ListModelsRequest, ListModelsResponse
from cowabungaai_sdk.v1.models_pb2_grpc import ModelServiceServicer


class ModelServicer(ModelServiceServicer):
    """Says what the backend serves.

    Args:
        catalog: its models.
        calls: the server's calls.
    """

    def __init__(self, catalog: Catalog, calls: Calls) -> None:
        self._catalog = catalog
        self._calls = calls

    async def ListModels(self, request: ListModelsRequest, context: Context) -> ListModelsResponse:
        """Lists the backend's models, also while they load and while it drains; see models.proto."""
        async with self._calls.serve("ListModels", context, always=True):
            return ListModelsResponse(models=self._catalog.models)
        raise AssertionError("unreachable: serve aborts the call where the body raises")
