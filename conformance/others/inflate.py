"""Inflates messages as zlib does, as far as they may go: a line each, in JSON. `null` is a refusal."""
import json
import sys
import zlib

TAIL = b"\x00\x00\xff\xff"
LAST_BLOCK = b"\x03\x00"


class Refused(Exception):
    pass


class Inflating:
    def __init__(self, limit):
        self.limit = limit
        self.inflated = b""
        self.inflater = zlib.decompressobj(-15)

    def take(self, rest):
        """Whether that was the end of a stream. Another one may follow."""
        is_end = False
        while rest:
            try:
                self.inflated += self.inflater.decompress(rest, self.limit + 1 - len(self.inflated))
            except zlib.error as error:
                raise Refused from error
            if len(self.inflated) > self.limit:
                raise Refused
            rest, is_end = self.inflater.unused_data, self.inflater.eof
            if is_end:
                self.inflater = zlib.decompressobj(-15)
        return is_end


def inflate(compressed, limit):
    inflating = Inflating(limit)
    try:
        if not compressed or inflating.take(compressed):
            return list(inflating.inflated)
        bytes_before = len(inflating.inflated)
        if not compressed.endswith(TAIL):
            inflating.take(TAIL)
        # Behind a message that is whole, that is a stream's end and nothing else.
        is_whole = inflating.take(LAST_BLOCK) and len(inflating.inflated) == bytes_before
    except Refused:
        return None
    return list(inflating.inflated) if is_whole else None


for line in sys.stdin:
    message = json.loads(line)
    print(json.dumps(inflate(bytes(message["compressed"]), message["limit"])))
