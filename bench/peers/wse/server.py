"""The peer for wse: its engine is Rust, and Python asks it for what has come, many events at once."""

import argparse
import signal
import socket
import sys

from wse_server import RustWSEServer

# The most that its own examples take at once, and how long they wait for that.
EVENTS_MAX = 256
WAIT_MS = 50
SECONDS_OF_PINGS = 10


def free_port() -> int:
    """It cannot be told to choose one itself and say which."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--mode", choices=["echo", "room", "count"], required=True)
    parser.add_argument("--port", type=int, default=0)
    arguments = parser.parse_args()
    port = arguments.port or free_port()
    server = RustWSEServer(
        "127.0.0.1",
        port,
        max_connections=20_000,
        # A publisher that is limited to 10,000 messages a second measures that limit.
        rate_limit_capacity=1e9,
        rate_limit_refill=1e9,
        ping_interval=SECONDS_OF_PINGS,
    )
    server.enable_drain_mode()
    server.start()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    print(f"LISTENING {port}", flush=True)
    serve(server, arguments.mode)


def serve(server: RustWSEServer, mode: str) -> None:
    rooms: dict[str, str] = {}
    counts: dict[str, int] = {}
    while True:
        for kind, connection, payload in server.drain_inbound(EVENTS_MAX, WAIT_MS):
            if kind == "connect":
                # Of a request it passes on nothing but the cookies.
                rooms[connection] = payload.partition("room=")[2].partition(";")[0]
                server.subscribe_connection(connection, [rooms[connection]])
            elif kind == "raw":
                if mode == "room":
                    server.broadcast_local(rooms[connection], payload)
                elif mode == "echo":
                    server.send(connection, payload)
                elif payload[2:3] == "?":
                    server.send(connection, str(counts.pop(connection, 0)))
                else:
                    counts[connection] = counts.get(connection, 0) + 1
            elif kind == "disconnect":
                rooms.pop(connection, None)
                counts.pop(connection, None)


main()
