"""Inflates messages as zlib does, as far as they may go: a line each, in JSON. `null` is a refusal."""
import json
import sys
import zlib

TAIL = b"\x00\x00\xff\xff"


def inflate(compressed, limit):
    inflated, rest = b"", compressed + TAIL
    while rest:
        inflater = zlib.decompressobj(-15)
        try:
            inflated += inflater.decompress(rest, limit + 1 - len(inflated))
        except zlib.error:
            return None
        if len(inflated) > limit:
            return None
        # Another stream may follow.
        rest = inflater.unused_data if inflater.eof else b""
    return list(inflated)


for line in sys.stdin:
    message = json.loads(line)
    print(json.dumps(inflate(bytes(message["compressed"]), message["limit"])))
