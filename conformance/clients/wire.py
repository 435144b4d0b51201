"""What went over a WebSocket, from the bytes of both directions: the handshake's extensions, and the frames."""
import dataclasses

CONTINUATION, TEXT, BINARY = 0x0, 0x1, 0x2


@dataclasses.dataclass
class Direction:
    extensions: str | None
    messages: int = 0
    compressed: int = 0
    fragmented: int = 0


def read(captured):
    """Reads what one side has sent. A violation is an error here: the other side is not asked what it thinks."""
    head, _, frames = bytes(captured).partition(b"\r\n\r\n")
    direction = Direction(extensions=extensions_of(head.decode("latin-1")))
    at = 0
    while at < len(frames):
        first, second = frames[at], frames[at + 1]
        at, length = at + 2, second & 0x7F
        if length >= 126:
            length_bytes = 2 if length == 126 else 8
            length = int.from_bytes(frames[at:at + length_bytes])
            at += length_bytes
        at += length + (4 if second & 0x80 else 0)
        opcode, is_final, is_compressed = first & 0x0F, bool(first & 0x80), bool(first & 0x40)
        if first & 0x30 or is_compressed and opcode not in (TEXT, BINARY):
            raise ValueError(f"a frame that begins with {first:#x}")
        if opcode in (TEXT, BINARY):
            direction.messages += 1
            direction.compressed += is_compressed
            direction.fragmented += not is_final
    return direction


def extensions_of(head):
    values = [line.partition(":")[2].strip() for line in head.split("\r\n")
              if line.lower().startswith("sec-websocket-extensions:")]
    return ", ".join(values) if values else None
