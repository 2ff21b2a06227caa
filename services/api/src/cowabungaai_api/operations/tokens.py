# SPDX-License-Identifier: Apache-2.0
"""tokens/count: how many tokens the model would read; an endpoint of our own."""

import orjson

from cowabungaai_api.operations.chat_request import messages, tools
from cowabungaai_api.operations.common import Whole
from cowabungaai_api.schemas.base import Request
from cowabungaai_api.schemas.token_request import TokenCountRequest
from cowabungaai_api.upstream.base import Call, Reply
from cowabungaai_sdk.client import BackendClient
from cowabungaai_sdk.v1 import tokens_pb2


class TokenCount(Whole):
    """The operation; implements Operation."""

    path = "/tokens/count"
    request: type[Request] = TokenCountRequest

    async def unary(self, client: BackendClient, call: Call, model: str) -> Reply:
        """See Operation."""
        request = call.request
        asked = tokens_pb2.CountTokensRequest(model=model, text=request.text)
        if request.messages is not None:
            conversation = tokens_pb2.Conversation(
                messages=messages(request.messages), tools=tools(request.tools or [])
            )
            asked.conversation.CopyFrom(conversation)
        answer = await client.count_tokens(asked, timeout_s=call.timeout_s, metadata=call.metadata)
        return Reply(orjson.dumps({"object": "token_count", "model": request.model, "count": answer.count}))
