"""Edits of source text that apply exactly as often as stated, or not at all."""
import re
import sys


def die(msg):
    sys.exit("port.py: " + msg)


def sub(text, old, new, n=1, what=""):
    """Replace exactly n occurrences of old."""
    if text.count(old) != n:
        die("%s: expected %d x %r, found %d" % (what, n, old, text.count(old)))
    return text.replace(old, new)


def rsub(text, pattern, new, n=None, what=""):
    """Replace regex, exactly n times (n None: at least once)."""
    text, got = re.subn(pattern, new, text, flags=re.M)
    if (n is None and not got) or (n is not None and got != n):
        die("%s: expected %s x /%s/, found %d" % (what, n, pattern, got))
    return text
