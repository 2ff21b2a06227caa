# SPDX-License-Identifier: Apache-2.0
"""Keeps a program's TCP port on the loopback: `unshare --net python -m cowabunga.loopback FD PORT COMMAND...`.

Dagger's `up` listens on all addresses. Here it has a network of its own, with nothing but a loopback; what comes to the
socket FD, which the launcher has bound outside, is passed on to PORT inside. The socket listens once something answers
there. The exit code is the command's.
"""

from __future__ import annotations

import asyncio
import fcntl
import signal
import socket
import struct
import sys

# linux/sockios.h and linux/if.h
SIOCSIFFLAGS, IFF_UP = 0x8914, 0x1
LOOPBACK = "127.0.0.1"
PAUSE = 0.1


async def keep(listener: socket.socket, port: int, command: list[str]) -> int:
    """Run a command, and pass on what comes for its port.

    Args:
        listener: Bound, but not listening yet.
        port: On which the command will listen.
        command: Program and arguments.

    Returns:
        The command's exit code.
    """
    _up()
    child = await asyncio.create_subprocess_exec(*command)
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, child.terminate)
    # From the terminal it comes to the child as well.
    loop.add_signal_handler(signal.SIGINT, lambda: None)

    async def serve() -> None:
        while not await _answers(port):  # noqa: ASYNC110 - a port tells nobody that it is open
            await asyncio.sleep(PAUSE)
        async with await asyncio.start_server(pass_on, sock=listener) as server:
            await server.serve_forever()

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            inner, outer = await asyncio.open_connection(LOOPBACK, port)
        except OSError:
            writer.close()
            return
        await asyncio.gather(_copy(reader, outer), _copy(inner, writer))
        for sink in (outer, writer):
            sink.close()

    serving = asyncio.create_task(serve())
    code = await child.wait()
    serving.cancel()
    return code if code >= 0 else 128 - code


async def _copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    """One direction of a connection; where its end is told, the other direction may go on."""
    try:
        while data := await source.read(1 << 16):
            sink.write(data)
            await sink.drain()
        sink.write_eof()
    except OSError:
        sink.close()


async def _answers(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection(LOOPBACK, port)
    except OSError:
        return False
    writer.close()
    return True


def _up() -> None:
    """Bring up the loopback of this network namespace."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        fcntl.ioctl(asking, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", IFF_UP))


def main(arguments: list[str]) -> int:
    """Serve the socket of the first argument."""
    descriptor, port, *command = arguments
    with socket.socket(fileno=int(descriptor)) as listener:
        listener.set_inheritable(False)
        return asyncio.run(keep(listener, int(port), command))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
