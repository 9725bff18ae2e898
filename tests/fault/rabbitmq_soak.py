# SPDX-License-Identifier: Apache-2.0
"""rabbitmq_soak.py - drives the RabbitMQ adapter with many events while the broker is killed and restarted, and
checks counts, order per key and bytes with an independent client. Exit status 0 when nothing is lost, changed,
out of order, or repeated without having been in doubt.

Called by run.sh. Starts its own RabbitMQ.
"""

import argparse
import os
import pathlib
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "brokers"), str(HERE.parent / "integration")]


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--build", default="build")
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--keys", type=int, default=20_000)
    parser.add_argument("--kills", type=int, default=0, help="kill -9 of the broker, evenly over the run")
    return parser.parse_args()


def bodies_of(broker, queue: str, n: int):
    """Yields while it consumes, so that a million bodies are never held."""
    with broker.channel() as ch:
        ch.basic_qos(prefetch_count=4000)
        for taken, (method, _, body) in enumerate(ch.consume(queue), 1):
            yield body
            if taken % 2000 == 0 or taken == n:
                ch.basic_ack(method.delivery_tag, multiple=True)
            if taken == n:
                break
        ch.cancel()


def main() -> int:
    args = arguments()
    os.environ["POSTRIDER_BUILD"] = os.path.abspath(args.build)
    from driver import Drive, check_bodies
    from harness.rabbitmq import RabbitMQ
    from harness.wait import wait_until
    with RabbitMQ() as broker:
        broker.declare("soak")
        d = Drive("rabbitmq", f"url={broker.url}", "exchange=", "routing_key=soak", n=args.events,
                  k=args.keys, t=3600)
        for i in range(args.kills):
            least = args.events * (i + 1) // (args.kills + 2)
            wait_until(lambda: broker.length("soak") >= least, f"{least} events have arrived", 1200)
            broker.kill()
            broker.start()
        counts = d.result()
        n = broker.length("soak")
        began = time.monotonic()
        repeats = check_bodies(bodies_of(broker, "soak", n), args.events, args.keys, duplicates=True)
        print(f"{args.events} events of {args.keys} keys, {args.kills} kills: {counts['per_second']:.0f}/s; "
              f"{n} in the queue, {repeats} repeated, {counts['maybe']} were in doubt; read in "
              f"{time.monotonic() - began:.0f} s: none lost, changed or out of order")
    return 0 if repeats <= counts["maybe"] and counts["rejected"] == counts["retry"] == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
