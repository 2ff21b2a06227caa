"""What the routers share."""

from typing import Annotated

from fastapi import Depends, Request

from cowabungaai_api.backends import Backends


async def backends(request: Request) -> Backends:
    """The app's backends; its lifespan made them.

    Args:
        request: any request to the app.
    """
    found: Backends = request.app.state.backends
    return found


BackendsDependency = Annotated[Backends, Depends(backends)]
