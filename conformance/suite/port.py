#!/usr/bin/env python3
"""Ports an installed autobahntestsuite 25.10.1, which is written for Python 2, to Python 3, in place.

    port.py SITE_PACKAGES

SITE_PACKAGES holds freshly installed autobahntestsuite 25.10.1 and autobahn 0.10.9 (itself for Python 2 and 3). Only
the modes about WebSocket are ported; those for WAMP, wsperf, broadcasts and load are removed.

Every file to be changed is checked against a digest first, and every edit has to apply exactly as often as stated: a
different release fails loudly instead of being half ported.
"""
import hashlib
import os
import shutil
import sys

from cases import port_case_file
from edits import die
from modules import PORTS, port_autobahn

SUITE_DIGEST = "61f302cd4f96fd65"
AUTOBAHN_DIGEST = "c8d4105d8731950a"

KEEP = {"__init__.py", "_version.py", "choosereactor.py", "wstest.py",
        "fuzzing.py", "caseset.py", "report.py", "spectemplate.py", "testee.py"}

# In no list of cases, and not worth porting.
UNUSED_CASE = "case9_9_1.py"


def read(path):
    with open(path, encoding="utf-8", newline="") as f:
        return f.read().replace("\r\n", "\n")


def write(path, text):
    with open(path, "w", encoding="utf-8", newline="\n") as f:
        f.write(text)


def digest(files):
    h = hashlib.sha256()
    for f in files:
        h.update(os.path.basename(f).encode() + b"\0" + read(f).encode("utf-8") + b"\0")
    return h.hexdigest()[:16]


def ported(files, cases):
    """The new text of each file that changes, all of it known to compile."""
    new = {}
    for f in files:
        name = os.path.basename(f)
        if os.path.dirname(f) == cases:
            if name != UNUSED_CASE:
                new[f] = port_case_file(name, read(f))
        elif name in PORTS:
            new[f] = PORTS[name](read(f))
    for f, text in new.items():
        compile(text, f, "exec")
    return new


def remove_what_is_not_ported(suite, cases):
    for f in os.listdir(suite):
        if f.endswith(".py") and f not in KEEP:
            os.remove(os.path.join(suite, f))
    os.remove(os.path.join(cases, UNUSED_CASE))
    for d in (os.path.join(suite, "wampcase"), os.path.join(suite, "__pycache__"), os.path.join(cases, "__pycache__")):
        shutil.rmtree(d, ignore_errors=True)


def main():
    if len(sys.argv) != 2:
        die("usage: port.py SITE_PACKAGES")
    suite = os.path.join(sys.argv[1], "autobahntestsuite")
    cases = os.path.join(suite, "case")
    protocol = os.path.join(sys.argv[1], "autobahn", "websocket", "protocol.py")

    files = [os.path.join(suite, f) for f in sorted(KEEP)]
    files += [os.path.join(cases, f) for f in sorted(os.listdir(cases)) if f.endswith(".py")]
    got = (digest(files), digest([protocol]))
    if got != (SUITE_DIGEST, AUTOBAHN_DIGEST):
        die("these are not fresh autobahntestsuite 25.10.1 and autobahn 0.10.9: digests %s %s" % got)

    new = ported(files, cases)
    for f, text in new.items():
        write(f, text)
    remove_what_is_not_ported(suite, cases)
    write(protocol, port_autobahn(read(protocol)))
    print("port.py: ported %d files" % len(new))


main()
