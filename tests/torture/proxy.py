"""A relay before a real server that spoils the line: the toxics of toxiproxy, and a cut between commit and answer.

It runs in a thread of its own. A toxic begins when the test says so, or when the client sends certain bytes.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

LATENCY, BANDWIDTH, SLOW_CLOSE, STALL = "latency", "bandwidth", "slow_close", "stall"
RESET, SLICER, LIMIT, CUT = "reset_peer", "slicer", "limit_data", "cut_answer"
TOXICS: Final = (LATENCY, BANDWIDTH, SLOW_CLOSE, STALL, RESET, SLICER, LIMIT, CUT)
LATENCY_SECONDS, SLOW_CLOSE_SECONDS = 0.1, 1.0
BYTES_PER_SECOND, SLICE_BYTES, LIMIT_BYTES = 200_000, 200, 300
_LINGER_OFF: Final = struct.pack("ii", 1, 0)  # closing sends a reset
Where = tuple[str, int] | Path


class Proxy:
    """A relay to one server; `toxic` is what it does to every connection at the moment."""

    def __init__(self, server: Where) -> None:
        self.server, self.toxic, self.met = server, "", False
        self.port = 0
        self._trigger: tuple[bytes, str] | None = None
        self._sent = 0
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()

    def poison(self, toxic: str) -> None:
        """Spoil every connection from now on."""
        self.toxic, self.met, self._sent = toxic, True, 0

    def poison_at(self, sent: bytes, toxic: str) -> None:
        """Spoil every connection from the moment a client sends these bytes, and these bytes too."""
        self._trigger = (sent, toxic)

    def heal(self) -> None:
        """Relay faithfully again; connections that hang are ended."""
        self.toxic, self._trigger = "", None
        for task in asyncio.all_tasks(self._loop):
            if task.get_name() == "relay":
                self._loop.call_soon_threadsafe(task.cancel)

    async def serve(self, ready: threading.Event) -> None:
        """Relay until `close`."""
        listener = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = listener.sockets[0].getsockname()[1]
        ready.set()
        async with listener:
            await self._stop.wait()
        for task in asyncio.all_tasks():
            if task is not asyncio.current_task():
                task.cancel()

    def run(self, ready: threading.Event) -> None:
        """The body of the thread."""
        with contextlib.suppress(asyncio.CancelledError):
            self._loop.run_until_complete(self.serve(ready))
        self._loop.close()

    def close(self) -> None:
        """End all connections and the thread's loop."""
        self._loop.call_soon_threadsafe(self._stop.set)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if isinstance(self.server, Path):
            far_reader, far_writer = await asyncio.open_unix_connection(str(self.server))
        else:
            far_reader, far_writer = await asyncio.open_connection(*self.server)
        ways = [self._relay(reader, far_writer, True), self._relay(far_reader, writer, False)]
        tasks = [asyncio.create_task(way, name="relay") for way in ways]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if self.toxic == SLOW_CLOSE:
            await asyncio.sleep(SLOW_CLOSE_SECONDS)
        for task in tasks:
            task.cancel()
        for end in (writer, far_writer):
            if self.toxic == RESET:
                with contextlib.suppress(OSError):
                    end.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_OFF)
            end.close()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, to_server: bool) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                if to_server and self._trigger and self._trigger[0] in data:
                    self.poison(self._trigger[1])
                    self._trigger = None
                if not await self._pass(data, writer, to_server):
                    return

    async def _pass(self, data: bytes, writer: asyncio.StreamWriter, to_server: bool) -> bool:
        """Send data on as the toxic has it; False ends the connection."""
        if self.toxic == RESET or (self.toxic == CUT and not to_server):
            return False
        if self.toxic == STALL:
            await asyncio.Event().wait()
        if self.toxic == LIMIT:
            left = max(0, LIMIT_BYTES - self._sent)
            self._sent += len(data)
            writer.write(data[:left])
            await writer.drain()
            return len(data) <= left
        pause = {LATENCY: LATENCY_SECONDS, BANDWIDTH: len(data) / BYTES_PER_SECOND}.get(self.toxic, 0)
        step = SLICE_BYTES if self.toxic == SLICER else len(data)
        for start in range(0, len(data), step):
            writer.write(data[start : start + step])
            await writer.drain()
            await asyncio.sleep(0)
        await asyncio.sleep(pause)
        return True


@contextmanager
def before(server: Where) -> Iterator[Proxy]:
    """A relay before a server, which is a host and port or the path of a socket."""
    proxy, ready = Proxy(server), threading.Event()
    thread = threading.Thread(target=proxy.run, args=(ready,), daemon=True)
    thread.start()
    assert ready.wait(10)
    yield proxy
    proxy.close()
    thread.join(10)
