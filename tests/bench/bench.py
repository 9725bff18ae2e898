#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""bench.py - measures the relay beside the limits of this machine and prints a Markdown table.

Use run.sh, which builds first.
"""

import argparse
import dataclasses
import json
import os
import platform
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "integration"))

import rows as table  # noqa: E402
import scenarios  # noqa: E402  (it uses the harness of the integration tests)
import stage  # noqa: E402


def arguments() -> argparse.Namespace:
    p = argparse.ArgumentParser(prog="tests/bench/run.sh", description=__doc__.split("\n", maxsplit=1)[0])
    p.add_argument("--scenario", action="append", choices=list(scenarios.ALL), help="default: all")
    p.add_argument("--events", type=int, default=1_000_000, help="in the log (%(default)s)")
    p.add_argument("--runs", type=int, default=3, help="of each comparison; medians count (%(default)s)")
    p.add_argument("--seconds", type=int, default=30, help="of steady load, and of idling (%(default)s)")
    p.add_argument("--rate", type=int, default=5000, help="events a second of the steady load (%(default)s)")
    p.add_argument("--per-transaction", type=int, default=5,
                   help="events in a transaction of the steady load (%(default)s)")
    p.add_argument("--json", help="also write all figures to this file")
    p.add_argument("--build", required=True, help=argparse.SUPPRESS)
    return p.parse_args()


def number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 1000 else f"{value:.2f}"


def line(row: table.Row) -> str:
    ratio = "-" if row.ratio is None else f"{row.ratio:.2f}"
    bound = [f">= {row.least:g}"] if row.least is not None else []
    bound += [f"<= {row.most:g}"] if row.most is not None else []
    met = {True: "met", False: "not met", None: "-"}[row.met]
    limit = "-" if row.limit is None else f"{number(row.limit)} {row.unit}"
    return (f"| {row.scenario} | {number(row.figure)} {row.unit} | {limit} | {ratio} | "
            f"{' '.join(bound) or '-'} | {met} |")


def report(rows: list[table.Row], skipped: list[str], args: argparse.Namespace) -> None:
    print(f"\n{time.strftime('%Y-%m-%d')}, {platform.system()} {platform.release()}, {os.cpu_count()} cores, "
          f"{args.events:,} events of {stage.PAYLOAD} bytes, medians of {args.runs}\n")
    print("| Scenario | Figure | Limit, same run | Ratio | Target | |\n|---|---|---|---|---|---|")
    for row in rows:
        print(line(row))
    print()
    for row in rows:
        if row.note:
            print(f"- {row.scenario}: {row.note}")
    for text in skipped:
        print(f"- SKIPPED {text}")


def main() -> int:
    args = arguments()
    options = table.Options(args.runs, args.seconds, args.rate, args.per_transaction)
    rows: list[table.Row] = []
    skipped = []
    with stage.Stage(os.path.abspath(args.build), args.events) as s:
        for name in args.scenario or scenarios.ALL:
            print(f"scenario {name}", file=sys.stderr, flush=True)
            try:
                rows += scenarios.ALL[name](s, options)
            except stage.Skipped as e:
                skipped.append(f"{name}: {e}")
    report(rows, skipped, args)
    if args.json:
        with open(args.json, "w", encoding="utf-8") as f:
            json.dump([dataclasses.asdict(row) | {"ratio": row.ratio, "met": row.met} for row in rows], f,
                      indent=1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
