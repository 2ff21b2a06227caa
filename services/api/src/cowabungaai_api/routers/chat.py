"""Chat completions, whole and streamed."""

import logging
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

from fastapi import APIRouter
from fastapi.responses import StreamingResponse

from cowabungaai_api.chat_mapping import ChunkWriter, completion, to_backend
from cowabungaai_api.dependencies import BackendsDependency
from cowabungaai_api.errors import ApiError, from_backend
from cowabungaai_api.schemas.chat_request import ChatCompletionRequest
from cowabungaai_api.schemas.chat_response import ChatCompletion
from cowabungaai_api.schemas.errors import ErrorBody
from cowabungaai_sdk.errors import BackendError, BackendFailedError
from cowabungaai_sdk.v1.chat_pb2 import ChatChunk

router = APIRouter(tags=["chat"])
log = logging.getLogger("cowabungaai.api")

DONE = "data: [DONE]\n\n"
ERRORS: dict[int | str, dict[str, object]] = {status: {"model": ErrorBody} for status in (400, 404, 413, 500, 503, 504)}


@router.post("/chat/completions", response_model=ChatCompletion, responses=ERRORS)
async def create_chat_completion(
    body: ChatCompletionRequest, backends: BackendsDependency
) -> ChatCompletion | StreamingResponse:
    """Answers a conversation; with `stream`, as server-sent events."""
    target = backends.target(body.model)
    request = to_backend(body, target.backend_model)
    try:
        if not body.stream:
            return completion(await target.client.chat(request), body.model)
        chunks = target.client.stream(request)
        # Until the first chunk is there an error can still be a status.
        first = await anext(chunks, None)
        if first is None:
            raise BackendFailedError("the backend's stream is empty")
    except BackendError as error:
        raise _logged(error, body.model) from error
    writer = ChunkWriter(first, body.model, bool(body.stream_options and body.stream_options.include_usage))
    return StreamingResponse(_events(first, chunks, writer, body.model), media_type="text/event-stream")


async def _events(
    first: ChatChunk, rest: AsyncGenerator[ChatChunk, None], writer: ChunkWriter, model: str
) -> AsyncIterator[str]:
    """Writes a stream as server-sent events; what goes wrong on the way is the last event, in place of [DONE]."""
    async with aclosing(rest):
        try:
            yield _event(*writer.write(first))
            async for chunk in rest:
                yield _event(*writer.write(chunk))
            yield DONE
        except BackendError as error:
            yield _event(_logged(error, model).body.model_dump_json())


def _event(*lines: str) -> str:
    return "".join(f"data: {line}\n\n" for line in lines)


def _logged(error: BackendError, model: str) -> ApiError:
    answer = from_backend(error, model)
    if answer.status_code >= 500:
        log.warning(
            "backend failed", extra={"fields": {"model": model, "status": answer.status_code, "why": str(error)}}
        )
    return answer
