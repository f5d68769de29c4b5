#!/usr/bin/env python3
"""suite_tenant.py WITHOUT.json TENANT.json REFUSED - Redis' own suite through a tenant's session, test by
test beside the same without a tenant.

A test that was refused a command (REFUSED: unit, number, command) is none that a tenant can be asked
to pass, whatever became of it. Of the others that pass without a tenant the share that is kept is
printed, and what is lost. Exit status 1 where less than 98 % is kept.
"""
import collections
import json
import re
import sys

WANTED = 98.0
REFUSAL = re.compile(r"NOPERM '([^']+)' is refused to tenants")


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


def add_told(tenant, refused):
    """What a test read past the suite's client (SYNC), and said when it failed."""
    for unit, results in tenant["units"].items():
        for t in results["tests"]:
            if t["result"] == "err":
                refused[unit, t["n"]].update(REFUSAL.findall(t["text"]))


def compare(without, tenant, refused):
    kept, lost, asked = [], [], []
    for unit, results in without["units"].items():
        if unit not in tenant["units"]:
            continue
        mine = by_name(tenant["units"][unit])
        for name, tests in by_name(results).items():
            for i, t in enumerate(tests):
                if t["result"] != "ok":
                    continue
                got = mine[name][i] if i < len(mine[name]) else {"result": "not run", "n": 0, "text": ""}
                row = (unit, name, got)
                if got["n"] and refused.get((unit, got["n"])):
                    asked.append(row)
                else:
                    (kept if got["result"] == "ok" else lost).append(row)
    return kept, lost, asked


def why(got):
    lines = [s for s in got["text"].split("\n")[1:] if s.strip()]
    return f" {lines[0].strip()[:90]}" if lines else ""


def main():
    without, tenant = (json.load(open(p, encoding="utf-8")) for p in sys.argv[1:3])
    refused = read_refused(sys.argv[3])
    add_told(tenant, refused)
    kept, lost, asked = compare(without, tenant, refused)
    total = len(kept) + len(lost)
    still = sum(got["result"] == "ok" for _, _, got in asked)
    words = collections.Counter(c for (unit, n), names in refused.items() if n for c in names)
    print(f"\npass without a tenant: {total + len(asked)}")
    print(f"refused only: {len(asked)} of these use a command refused to tenants; with an operator's hand "
          f"for that command {still} of them pass through the tenant's session")
    print("    by command: " + ", ".join(f"{c} {n}" for c, n in words.most_common()))
    for unit, name, got in lost:
        print(f"  lost: {unit}: {name} ({got['result']}){why(got)}")
    share = 100.0 * len(kept) / max(1, total)
    print(f"through a tenant's session: {len(kept)} of {total} kept ({share:.2f} %), {len(lost)} lost, "
          f"{len(asked)} refused only")
    sys.exit(0 if share >= WANTED else 1)


main()
