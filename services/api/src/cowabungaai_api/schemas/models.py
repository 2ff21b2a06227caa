# SPDX-License-Identifier: Apache-2.0
"""Bodies of the models endpoints."""

from typing import Literal

from pydantic import BaseModel


class ModelObject(BaseModel):
    """A model that the gateway offers.

    Args:
        id: what to ask for.
        created: when the model was made, or else when the gateway started, in Unix seconds.
        owned_by: who publishes it.
    """

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str


class ModelList(BaseModel):
    """All of them."""

    object: Literal["list"] = "list"
    data: list[ModelObject]
