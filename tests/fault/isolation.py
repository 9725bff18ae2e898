# SPDX-License-Identifier: Apache-2.0
"""isolation.py - measures a healthy destination at a steady rate, alone and beside a dead and a slow
one, by turns; exit status 0 when its p99 moves by no more than 20 %.
"""

import sys

import stage
from harness import isolation


def main() -> int:
    parser = stage.parser(__doc__)
    parser.add_argument("--rounds", type=int, default=4, help="of both phases (default: 4)")
    parser.add_argument("--seconds", type=float, default=20, help="a phase (default: 20)")
    parser.add_argument("--rate", type=float, default=500, help="events a second (default: 500)")
    args = parser.parse_args()
    found = {False: isolation.Latency([]), True: isolation.Latency([])}
    with stage.Stage(args) as place:
        for n in range(2 * args.rounds):
            ill = n % 2 == 1
            taken = isolation.run(place.binary, place.subfolder(f"phase-{n}"),
                                  place.database(f"phase_{n}"), ill, args.seconds, args.rate)
            print(f"  {'ill   ' if ill else 'well  '} {taken}", file=sys.stderr, flush=True)
            found[ill].times += taken.times
    print(f"healthy destination at {args.rate:g} events/s, from the commit to the arrival")
    print(f"  beside two that are well:            {found[False]}")
    print(f"  beside a black hole and one of 50 ms: {found[True]}")
    ratio = found[True].at(.99) / found[False].at(.99)
    print(f"  p99 during / before: {ratio:.2f}")
    return 0 if ratio <= 1.2 else 1


if __name__ == "__main__":
    sys.exit(main())
