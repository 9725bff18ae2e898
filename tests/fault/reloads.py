# SPDX-License-Identifier: Apache-2.0
"""reloads.py - reloads the configuration under load, every other time with a bad file; exit status 0
when nothing was lost, repeated or reordered and the generation counted the good ones only.
"""

import sys
import time

import stage
from harness import history, reloads
from harness.relay import Relay
from harness.sinks import file_sink
from harness.writers import committed


def main() -> int:
    parser = stage.parser(__doc__)
    parser.add_argument("--rounds", type=int, default=300, help="reloads (default: 300)")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    with stage.Stage(args) as place:
        db = place.database("events")
        sinks = [file_sink(place.folder, "file"), place.sink("hook"), file_sink(place.folder, "spare")]
        start = time.monotonic()
        with Relay(place.binary, place.subfolder("relay"), db.dsn, [s.config() for s in sinks]) as relay:
            counts = reloads.run(db, relay, sinks, args.rounds, args.seed,
                                 lambda n: print(f"  {n} reloads", file=sys.stderr, flush=True))
            generation = relay.metric("postrider_config_generation")
        seconds = time.monotonic() - start
        verdicts = [history.judge(s.name, committed(db), history.untimed(s.receipts()), [], 0, 2)
                    for s in sinks]
    print(f"seed {args.seed}, {args.rounds} reloads in {seconds:.0f} s: {counts}; "
          f"generation at the end {generation:g}")
    print(history.table(verdicts))
    return 0 if all(v.clean for v in verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())
