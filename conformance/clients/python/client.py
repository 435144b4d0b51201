"""`client.py URL`: the package `websockets`, with what it does unless it is told otherwise."""
import asyncio
import json
import sys

import websockets
from websockets.asyncio.client import connect

SIZES = [0, 1, 125, 126, 127, 1_000, 65_535, 65_536, 300_000]
PATTERN = '{"event":"position","payload":{"x":1,"y":2}},'


def noise(size):
    state, out = 1, bytearray()
    for _ in range(size):
        state = (state * 1103515245 + 12345) & 0x7FFFFFFF
        out.append((state >> 16) & 0xFF)
    return bytes(out)


def messages():
    """The same as in node/exchange.js."""
    texts = [(PATTERN * (size // len(PATTERN) + 1))[:size] for size in SIZES]
    return texts + [noise(size) for size in SIZES] + ["aé€😀" * 3_000, bytes(1_000_000)]


def thirds(message):
    third = -(-len(message) // 3)
    return [message[:third], message[third:2 * third], message[2 * third:]]


async def main(url):
    count = 0

    async def expect_back(message):
        nonlocal count
        if await socket.recv() != message:
            raise SystemExit(f"message {count} came back as another")
        count += 1

    async with connect(url, max_size=None, proxy=None) as socket:
        for message in messages():
            await socket.send(message)
            await expect_back(message)
        for message in messages():
            await socket.send(message)
        for message in messages():
            await expect_back(message)
        for message in messages():
            await socket.send(thirds(message))
            await expect_back(message)
    if socket.close_code != 1000:
        raise SystemExit(f"closed: {socket.close_code} {socket.close_reason}")
    print(json.dumps({"version": f"websockets {websockets.__version__}", "count": count}))


asyncio.run(main(sys.argv[1]))
