"""Answers offers of permessage-deflate as the Python library websockets does: a line each, in JSON."""
import json
import sys

from websockets.exceptions import InvalidHeader, InvalidHeaderFormat, NegotiationError
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory
from websockets.headers import parse_extension

FACTORY = ServerPerMessageDeflateFactory(server_no_context_takeover=True, client_no_context_takeover=True)


def answer(value):
    try:
        offers = parse_extension(value)
    except (InvalidHeader, InvalidHeaderFormat):
        return {"is": "malformed"}
    for name, parameters in offers:
        # A window of 8 bits is taken there, and declined here.
        if name != "permessage-deflate" or ("server_max_window_bits", "8") in parameters:
            continue
        try:
            agreed, _ = FACTORY.process_request_params(parameters, [])
        except NegotiationError:
            continue
        bits = dict(agreed).get("server_max_window_bits")
        return {"is": "agreed", "window": int(bits) if bits else None}
    return {"is": "declined"}


for line in sys.stdin:
    print(json.dumps(answer(json.loads(line))))
