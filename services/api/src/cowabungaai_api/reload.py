# SPDX-License-Identifier: Apache-2.0
"""Takes changes of the configuration file while the gateway runs: all of a file, or nothing of it."""

import asyncio
import logging
from pathlib import Path

from cowabungaai_api.auth.errors import AuthConfigError
from cowabungaai_api.config.load import ConfigError, read_config
from cowabungaai_api.state import State

log = logging.getLogger("cowabungaai.api")
Stamp = tuple[int, int, int]


class Reloader:
    """Looks at the file again and again, and at once where the state says so.

    Args:
        path: the file; a link to it may change too, as in a mounted ConfigMap.
        state: gets what is new.
        every_s: how often, in seconds; 0 never.
    """

    def __init__(self, path: Path, state: State, every_s: float) -> None:
        self._path = path
        self._state = state
        self._every_s = every_s
        self._seen = _stamp(path)

    async def run(self) -> None:
        """Goes on until cancelled."""
        while True:
            try:
                async with asyncio.timeout(self._every_s or None):
                    await self._state.reload_now.wait()
            except TimeoutError:
                stamp = _stamp(self._path)
                if stamp == self._seen:
                    continue
                self._seen = stamp
            self._state.reload_now.clear()
            try:
                await self.reload()
            except Exception:
                # Whatever is wrong with a file, the next one must be taken.
                self._state.metrics.reloaded(taken=False)
                log.exception("configuration not taken")

    async def reload(self) -> None:
        """Takes the file as it is now; where it is wrong, says so and keeps what there is."""
        state = self._state
        try:
            config = await asyncio.to_thread(read_config, self._path)
            state.auth.reconfigure(config.auth)
            try:
                state.router.reconfigure(config)
            except ConfigError:
                state.auth.reconfigure(state.config.auth)
                raise
        except (ConfigError, AuthConfigError) as error:
            state.metrics.reloaded(taken=False)
            for line in str(error).splitlines():
                log.error("configuration not taken", extra={"fields": {"why": line}})
            return
        state.config = config
        state.metrics.reloaded(taken=True)
        fields = {"models": [model.name for model in config.models]}
        log.info("configuration taken", extra={"fields": fields})


def _stamp(path: Path) -> Stamp | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return (found.st_mtime_ns, found.st_size, found.st_ino)
