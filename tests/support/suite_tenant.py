#!/usr/bin/env python3
"""suite_tenant.py WITHOUT.json [TENANT.json REFUSED] .. - Redis' own suite through a tenant's session,
test by test beside the same without a tenant.

REFUSED (suite_tenant.tcl): unit, number of the test, and the command it was refused, or `info FIELD`.
A test that was refused a command is none that a tenant can be asked to pass, whatever became of it.
Of the others that pass without a tenant those are kept that pass, and did not look at what INFO does
not tell tenants. The share of them is printed, and all that is lost. Exit status 1 where less than
98 % is kept.

A test that fails can spoil those behind it (the runner closes the clients that it made). So units
with a loss are run again without the tests that were refused a command, as often as that shows more
of these; what passes in such a run is kept.

suite_tenant.py --leave FILE WITHOUT.json [TENANT.json REFUSED] .. - writes the numbers of the tests to
be left out to FILE, and prints the units to be run again; none, where FILE says so already.
"""
import collections
import json
import re
import sys

WANTED = 98.0
# The suite cuts off the beginning of an error.
REFUSAL = re.compile(r"([\w|-]+)' is refused to tenants")


def by_name(unit):
    """name -> its tests, in order: some names come more than once."""
    tests = collections.defaultdict(list)
    for t in unit["tests"]:
        tests[t["name"]].append(t)
    return tests


def read_refused(path):
    """(unit, number of the test) -> the commands it was refused."""
    refused = collections.defaultdict(set)
    for line in open(path, encoding="utf-8"):
        unit, number, command = line.rstrip("\n").split("\t")
        refused[unit, int(number)].add(command)
    return refused


class Run:
    def __init__(self, path, refused):
        self.units = json.load(open(path, encoding="utf-8"))["units"]
        self.refused = read_refused(refused)
        self.tests = {u: by_name(r) for u, r in self.units.items()}
        self.add_told()

    def add_told(self):
        """What a test read past the suite's client (SYNC), and said when it failed."""
        for unit, results in self.units.items():
            for t in results["tests"]:
                if t["result"] == "err" and (unit, t["n"]) not in self.refused:
                    self.refused[unit, t["n"]].update(REFUSAL.findall(t["text"]))

    def look(self, unit, name, i):
        """-> result, commands refused, fields of INFO, and what it said, of the i-th test of the name"""
        tests = self.tests.get(unit, {}).get(name, [])
        if i >= len(tests):
            return "not run", [], [], ""
        t = tests[i]
        words = sorted(self.refused.get((unit, t["n"]), ()))
        fields = [w for w in words if w.startswith("info ")]
        return t["result"], [w for w in words if w not in fields], fields, said(t)


def compare(without, runs):
    """-> kept, kept in a later run only, lost, refused a command: rows of unit, name, result, why"""
    kept, later, lost, asked = [], [], [], []
    for unit, results in without.items():
        if unit not in runs[0].units:
            continue
        for name, tests in by_name(results).items():
            for i, t in enumerate(tests):
                if t["result"] != "ok":
                    continue
                looks = [r.look(unit, name, i) for r in runs]
                good = [result == "ok" and not words and not fields for result, words, fields, _ in looks]
                result, _, fields, text = looks[0]
                row = (unit, name, result, ", ".join(fields) or text)
                if any(words for _, words, _, _ in looks):
                    asked.append(row)
                else:
                    (kept if good[0] else later if any(good) else lost).append(row)
    return kept, later, lost, asked


def said(test):
    lines = [s for s in test["text"].split("\n")[1:] if s.strip()]
    return lines[0].strip()[:90] if lines else ""


def leave(path, without, runs):
    """Writes which tests are to be left out, and prints the units that this may help."""
    lost = compare(without, runs)[2]
    units = {unit for unit, *_ in lost}
    lines = sorted({f"{unit}\t{n}\n" for r in runs for (unit, n), words in r.refused.items()
                    if n and unit in units and any(not w.startswith("info ") for w in words)})
    before = open(path, encoding="utf-8").readlines()
    with open(path, "w", encoding="utf-8") as f:
        f.writelines(lines)
    print(*sorted({x.split("\t")[0] for x in set(lines) - set(before)}))


def report(without, runs):
    kept, later, lost, asked = compare(without, runs)
    good = len(kept) + len(later)
    total = good + len(lost)
    words = collections.Counter(c for (_, n), names in runs[0].refused.items() if n
                                for c in names if not c.startswith("info "))
    print(f"\npass without a tenant: {total + len(asked)}")
    print(f"refused only: {len(asked)} of these use a command refused to tenants; where an operator says "
          f"that command for them, {sum(a[2] == 'ok' for a in asked)} pass")
    print("    by command: " + ", ".join(f"{c} {n}" for c, n in words.most_common()))
    for unit, name, _, why in later:
        print(f"  kept where those refused are left out: {unit}: {name}: {why}")
    for unit, name, result, why in lost:
        print(f"  lost: {unit}: {name} ({result}): {why}")
    share = 100.0 * good / max(1, total)
    print(f"through a tenant's session: {good} of {total} kept ({share:.2f} %), {len(lost)} lost, "
          f"{len(asked)} refused only")
    return share >= WANTED


def main():
    args = sys.argv[1:]
    path = args[1] if args[0] == "--leave" else None
    args = args[2:] if path else args
    without = json.load(open(args[0], encoding="utf-8"))["units"]
    runs = [Run(*pair) for pair in zip(args[1::2], args[2::2])]
    if path:
        leave(path, without, runs)
    elif not report(without, runs):
        sys.exit(1)


main()
