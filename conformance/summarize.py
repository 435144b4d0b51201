#!/usr/bin/env python3
"""Summarises the index.json that the suite's fuzzing client wrote.

    summarize.py [--expect N] [--compressed N] OUTDIR

Prints the cases by behaviour and lists each one that did not pass. Exits with 1 unless every case, and its closing
handshake, was OK or INFORMATIONAL, and (--expect) their number is N, which it is not if the server died midway.

Of the cases about compression each must be OK, have agreed on it in its handshake and got each message back;
(--compressed) their number must be N, and what was sent and received in all of them must have been made smaller.
"""
import argparse
import collections
import json
import os
import sys

PASSED = ("OK", "INFORMATIONAL")
# Of the cases about compression.
COMPRESSED = ("12.", "13.")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--expect", type=int, metavar="N", help="number of cases")
    parser.add_argument("--compressed", type=int, metavar="N", help="number of those about compression")
    parser.add_argument("outdir")
    args = parser.parse_args()

    index = read(args.outdir, "index.json")
    passed = bool(index)
    for agent, cases in sorted(index.items()):
        passed &= summarize(agent, cases)
        passed &= judge_compression(args.outdir, cases, args.compressed)
        if args.expect is not None and len(cases) != args.expect:
            print("  expected %d cases" % args.expect)
            passed = False
    sys.exit(0 if passed else 1)


def read(outdir, name):
    with open(os.path.join(outdir, name), encoding="utf-8") as f:
        return json.load(f)


def number(name):
    return [int(part) for part in name.split(".")]


def summarize(agent, cases):
    """Prints how one server did; whether all of its cases passed."""
    seconds = sum(case["duration"] for case in cases.values()) / 1000
    print("%s: %d cases, %.1f s inside cases" % (agent, len(cases), seconds))
    for title, key in (("behaviour", "behavior"), ("close", "behaviorClose")):
        counts = collections.Counter(case[key] for case in cases.values())
        print("  %-10s %s" % (title + ":", ", ".join("%s %d" % count for count in sorted(counts.items()))))

    failures = [name for name, case in cases.items()
                if case["behavior"] not in PASSED or case["behaviorClose"] not in PASSED]
    for name in sorted(failures, key=number):
        case = cases[name]
        print("  %-8s %-12s close: %s (%s)" % (
            name, case["behavior"], case["behaviorClose"], case["remoteCloseCode"]))
    return not failures


def judge_compression(outdir, cases, expected):
    """Prints what was compressed; whether all was that had to be."""
    names = [name for name in sorted(cases, key=number) if name.startswith(COMPRESSED)]
    stats = collections.Counter()
    failures = []
    for name in names:
        report = read(outdir, cases[name]["reportfile"])
        traffic = report.get("trafficStats") or {}
        if not (agreed(report) and report["behavior"] == "OK" and is_echo(traffic)):
            failures.append(name)
        stats.update({key: value for key, value in traffic.items() if isinstance(value, int)})

    others = [name for name in cases if name not in names and agreed(read(outdir, cases[name]["reportfile"]))]
    if names:
        print("  compressed: %d of %d cases agreed on it, %d messages" % (
            len(names) - len(failures), len(names), stats["incomingWebSocketMessages"]))
        for title, way in (("sent", "outgoing"), ("received", "incoming")):
            plain, compressed = stats[way + "OctetsAppLevel"], stats[way + "OctetsWebSocketLevel"]
            print("  %-10s %.1f MB as %.1f MB" % (title + ":", plain / 1e6, compressed / 1e6))
            if expected is not None and compressed >= plain:
                failures.append(way)
    for name in failures:
        print("  %-8s has not been compressed, or not been echoed" % name)
    for name in others:
        print("  %-8s has been compressed" % name)
    if expected is not None and len(names) != expected:
        print("  expected %d cases about compression" % expected)
        return False
    return not failures and not others


def agreed(report):
    """Whether the server has agreed on permessage-deflate."""
    headers = (report["httpResponse"] or "").lower().splitlines()
    return any(header.startswith("sec-websocket-extensions: permessage-deflate") for header in headers)


def is_echo(traffic):
    """Whether as much has come back as was sent, and something was."""
    counts = [(traffic.get("incoming" + what), traffic.get("outgoing" + what))
              for what in ("WebSocketMessages", "OctetsAppLevel")]
    return all(incoming and incoming == outgoing for incoming, outgoing in counts)


main()
