"""Checks the outcome of port.py, by the Python that it was ported for: every case, and the types of what it sends."""
import sys

from autobahn.websocket.protocol import WebSocketProtocol
from autobahntestsuite import case, fuzzing, wstest     # noqa: F401
from autobahntestsuite.caseset import CaseSet


def die(text):
    sys.exit("check.py: " + text)


class Recorder:
    """Stands in for a connection and keeps what a case would have sent."""
    state = WebSocketProtocol.STATE_OPEN
    _perMessageCompress = object()

    class factory:
        isServer = False

    def __init__(self):
        self.sent = []

    def __getattr__(self, name):
        if name.startswith("CLOSE_STATUS_CODE"):
            return getattr(WebSocketProtocol, name)

        def call(*args, **kw):
            self.sent.append((name, args, kw))
            if name == "continueLater":
                args[1]()
        return call


def all_cases():
    cs = CaseSet(case.CaseSetname, case.CaseBasename, case.Cases, case.CaseCategories, case.CaseSubCategories)
    ids = cs.parseSpecCases({"cases": ["*"]})
    by = {}
    for i in ids:
        by[int(i.split(".")[0])] = by.get(int(i.split(".")[0]), 0) + 1
    if by != {1: 16, 2: 11, 3: 7, 4: 10, 5: 20, 6: 145, 7: 37, 9: 54, 10: 1, 12: 90, 13: 126}:
        die("wrong cases: %s" % by)
    return ids


def check():
    ids = all_cases()
    sent = rows = 0
    for c in case.Cases:
        p = Recorder()
        k = c(p)
        k.onOpen()
        for name, args, kw in p.sent:
            if name in ("sendFrame", "sendMessage", "sendMessageFrameData"):
                payload = kw.get("payload", args[0] if args and name != "sendFrame" else b"")
                sent += 1
            elif name == "sendCloseFrame":
                payload = kw.get("reasonUtf8", b"")
            else:
                continue
            if type(payload) is not bytes:
                die("%s sends %r" % (c.__name__, payload))
        for events in k.expected.values():
            for e in events:
                if e[0] not in ("message", "ping", "pong", "timeout") or type(e[1]) is not (str if e[0] == "timeout" else bytes):
                    die("%s expects %r" % (c.__name__, e))
        if hasattr(c, "isValid"):
            rows += 1
            try:
                c.PAYLOAD.decode("utf8")
                valid = True
            except UnicodeDecodeError:
                valid = False
            if valid != c.isValid:
                die("%s: payload and validity disagree" % c.__name__)
    if rows != 132:
        die("UTF-8 table of %d rows" % rows)
    print("check.py: %d cases, %d frames and messages of octets, %d UTF-8 rows: ok" % (len(ids), sent, rows))


check()
