# SPDX-License-Identifier: Apache-2.0
"""The models of a backend, and what they can be asked for."""

from collections.abc import Sequence

from cowabungaai_sdk.backend import (
    Backend,
    ChatBackend,
    CompletionBackend,
    EmbeddingBackend,
    TokenCounter,
    TranscriptionBackend,
)
from cowabungaai_sdk.errors import BackendUnavailableError, InvalidRequestError, ModelNotFoundError
from cowabungaai_sdk.v1 import models_pb2
from cowabungaai_sdk.v1.models_pb2 import Capability, Model

PROTOCOLS: dict[Capability, type] = {
    models_pb2.CAPABILITY_CHAT: ChatBackend,
    models_pb2.CAPABILITY_COMPLETION: CompletionBackend,
    models_pb2.CAPABILITY_EMBEDDING: EmbeddingBackend,
    models_pb2.CAPABILITY_TRANSCRIPTION: TranscriptionBackend,
    models_pb2.CAPABILITY_TRANSLATION: TranscriptionBackend,
    models_pb2.CAPABILITY_TOKEN_COUNT: TokenCounter,
}
"""Which interface each capability needs."""


class CatalogError(Exception):
    """What a backend says of its models contradicts itself."""


class Catalog:
    """A snapshot of the backend's models, by id.

    Args:
        backend: what to ask for them.

    Raises:
        CatalogError: there is no model, two have one id, or one lists a capability that the backend's class lacks.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._models: dict[str, Model] = {}
        self._take(models_pb2.LOAD_STATE_LOADING)

    def loaded(self) -> None:
        """Takes the models anew, now that they are loaded.

        Raises:
            CatalogError: as the constructor's.
        """
        self._take(models_pb2.LOAD_STATE_READY)

    @property
    def models(self) -> Sequence[Model]:
        """The models, the default first."""
        return list(self._models.values())

    def find(self, model_id: str, capability: Capability) -> Model:
        """Finds the model that a request names.

        Args:
            model_id: the model's id, as the request has it.
            capability: what the request asks of it.

        Raises:
            ModelNotFoundError: there is no such model.
            InvalidRequestError: the model cannot do that.
            BackendUnavailableError: the model is loading, or could not be loaded.
        """
        model = self._models.get(model_id)
        if model is None:
            raise ModelNotFoundError(f"no model {model_id!r} here; there is {', '.join(self._models)}")
        if capability not in model.capabilities:
            able = [other.id for other in self._models.values() if capability in other.capabilities]
            message = f"the model {model_id!r} cannot do {_name(capability)}; {', '.join(able) or 'none here'} can"
            raise InvalidRequestError(message, "model", "unsupported_operation")
        if model.state != models_pb2.LOAD_STATE_READY:
            state = models_pb2.LoadState.Name(model.state).removeprefix("LOAD_STATE_").lower()
            raise BackendUnavailableError(f"the model {model_id!r} is not ready: {state}")
        return model

    def _take(self, state: models_pb2.LoadState) -> None:
        found: dict[str, Model] = {}
        for given in self._backend.models():
            model = Model()
            model.CopyFrom(given)
            if not model.id or model.id in found:
                raise CatalogError(f"the model id {model.id!r} is empty or there twice; ids must tell models apart")
            model.state = model.state or state
            self._check(model)
            found[model.id] = model
        if not found:
            raise CatalogError(f"{type(self._backend).__name__} has no models; models() must list at least one")
        self._models = found

    def _check(self, model: Model) -> None:
        name = type(self._backend).__name__
        for capability in model.capabilities:
            protocol = PROTOCOLS.get(capability)
            if protocol is None or not isinstance(self._backend, protocol):
                wanted = f"implement {protocol.__name__}" if protocol else "use one of Capability"
                message = f"the model {model.id!r} lists {_name(capability)}, which {name} lacks; {wanted}"
                raise CatalogError(message)


def _name(capability: Capability) -> str:
    known = models_pb2.Capability.values()
    return models_pb2.Capability.Name(capability) if capability in known else f"capability {capability}"
