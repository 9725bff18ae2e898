# SPDX-License-Identifier: Apache-2.0
"""kill_loop.py - relays under load are killed, stopped and ended; prints what arrived, exit status 0
when nothing was lost, invented, reordered, changed, or repeated without a fault that explains it.

Called by run.sh. Starts its own PostgreSQL, RabbitMQ and Kafka.
"""

import sys

import stage
from harness import nemesis


def arguments():
    parser = stage.parser(__doc__)
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--relays", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--lease", type=float, default=2, help="seconds (default: 2)")
    parser.add_argument("--sinks", default="file,queue,topic",
                        help="of file, hook, queue (RabbitMQ), topic (Kafka); default: file,queue,topic")
    parser.add_argument("--expect-broken", action="store_true",
                        help="a negative control: fail when the checker finds nothing lost")
    return parser.parse_args()


def show(fault, transactions: int) -> None:
    print(f"  {fault.kind:4} relay {fault.relay} with {fault.lanes or 'no lane'}, "
          f"{transactions} transactions so far", file=sys.stderr, flush=True)


def main() -> int:
    args = arguments()
    plan = nemesis.Plan(seconds=args.minutes * 60, relays=args.relays, seed=args.seed,
                        lease_s=args.lease)
    with stage.Stage(args) as place:
        sinks = [place.sink(name) for name in args.sinks.split(",")]
        result = nemesis.run(place.binary, place.database("events"), place.folder, sinks, plan, show)
    print(result)
    if args.expect_broken:
        return 0 if any(v.lost for v in result.verdicts) else 1
    if not result.clean:
        print(f"logs are in {place.folder}")
    return 0 if result.clean else 1


if __name__ == "__main__":
    sys.exit(main())
