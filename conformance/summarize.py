#!/usr/bin/env python3
"""Summarises the index.json that the suite's fuzzing client wrote.

    summarize.py [--expect N] OUTDIR

Prints the cases by behaviour and lists each one that did not pass. Exits with 1 unless every case, and its closing
handshake, was OK or INFORMATIONAL, and (--expect) their number is N, which it is not if the server died midway.
"""
import argparse
import collections
import json
import os
import sys

PASSED = ("OK", "INFORMATIONAL")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--expect", type=int, metavar="N", help="number of cases")
    parser.add_argument("outdir")
    args = parser.parse_args()
    with open(os.path.join(args.outdir, "index.json"), encoding="utf-8") as f:
        index = json.load(f)

    passed = bool(index)
    for agent, cases in sorted(index.items()):
        passed &= summarize(agent, cases)
        if args.expect is not None and len(cases) != args.expect:
            print("  expected %d cases" % args.expect)
            passed = False
    sys.exit(0 if passed else 1)


def summarize(agent, cases):
    """Prints how one server did; whether all of its cases passed."""
    seconds = sum(case["duration"] for case in cases.values()) / 1000
    print("%s: %d cases, %.1f s inside cases" % (agent, len(cases), seconds))
    for title, key in (("behaviour", "behavior"), ("close", "behaviorClose")):
        counts = collections.Counter(case[key] for case in cases.values())
        print("  %-10s %s" % (title + ":", ", ".join("%s %d" % count for count in sorted(counts.items()))))

    failures = [name for name, case in cases.items()
                if case["behavior"] not in PASSED or case["behaviorClose"] not in PASSED]
    for name in sorted(failures, key=lambda name: [int(number) for number in name.split(".")]):
        case = cases[name]
        print("  %-8s %-12s close: %s (%s)" % (
            name, case["behavior"], case["behaviorClose"], case["remoteCloseCode"]))
    return not failures


main()
