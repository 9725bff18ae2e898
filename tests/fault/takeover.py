# SPDX-License-Identifier: Apache-2.0
"""takeover.py - measures how long a lane is without a process; exit status 0 when no kill -9 costs
more than lease + 2 s, no SIGTERM more than 1 s, and a rolling restart loses and repeats nothing.
"""

import sys

import stage
from harness import history, takeover
from harness.sinks import file_sink


def show(name: str, seconds: float) -> None:
    print(f"  {name} {seconds:.3f} s", file=sys.stderr, flush=True)


def main() -> int:
    parser = stage.parser(__doc__)
    parser.add_argument("--rounds", type=int, default=50, help="of each signal (default: 50)")
    parser.add_argument("--lease", type=float, default=2, help="seconds (default: 2)")
    args = parser.parse_args()
    with stage.Stage(args) as place:
        times = takeover.measure(place.binary, place.subfolder("pair"), place.database("pair"),
                                 args.lease, args.rounds, args.rounds, show)
        sinks = [file_sink(place.folder, name) for name in ("one", "two", "three")]
        verdicts, gaps = takeover.rolling_restart(place.binary, place.subfolder("rolling"),
                                                  place.database("rolling"), sinks, rounds=3)
    limits = {"SIGKILL": args.lease + 2, "SIGTERM": 1.0}
    for name, taken in times.items():
        print(f"takeover after {name}, lease {args.lease:g} s, limit {limits[name]:g} s: "
              f"{takeover.summary(taken)}")
    print("rolling restart of three relays, three times, lease 5 s; longest gap: "
          + ", ".join(f"{name} {gap:.3f} s" for name, gap in gaps.items()))
    print(history.table(verdicts))
    good = all(max(taken) <= limits[name] for name, taken in times.items())
    return 0 if good and all(v.clean for v in verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())
