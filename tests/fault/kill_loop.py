# SPDX-License-Identifier: Apache-2.0
"""kill_loop.py - relays under load are killed, stopped and ended; prints what arrived, exit status 0
when nothing was lost, invented, reordered, changed, or repeated without a fault that explains it.

Called by run.sh. Starts its own PostgreSQL, RabbitMQ and Kafka.
"""

import argparse
import contextlib
import logging
import os
import pathlib
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "integration"))

# pylint: disable=wrong-import-position
from harness import nemesis
from harness.kafka import Kafka
from harness.postgres import Postgres
from harness.rabbitmq import RabbitMQ
from harness.receiver import Receiver
from harness.sinks import KafkaSink, RabbitSink, WebhookSink, file_sink
from harness.writers import Writers


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split(";")[0])
    parser.add_argument("--build", default="build", help="build folder (default: build)")
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--relays", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--lease", type=float, default=2, help="seconds (default: 2)")
    parser.add_argument("--sinks", default="file,queue,topic",
                        help="of file, hook, queue (RabbitMQ), topic (Kafka); default: file,queue,topic")
    parser.add_argument("--expect-broken", action="store_true",
                        help="a negative control: fail when the checker finds nothing lost")
    return parser.parse_args()


def make_sink(name: str, folder: str, stack: contextlib.ExitStack):
    if name == "queue":
        return RabbitSink(name, stack.enter_context(RabbitMQ()), "events")
    if name == "topic":
        return KafkaSink(name, stack.enter_context(Kafka()), "events")
    if name == "hook":
        receiver = stack.enter_context(Receiver())
        receiver.delay = 0.01  # so that something is under way whenever a relay is killed
        return WebhookSink(name, receiver)
    return file_sink(folder, name)


def show(fault, transactions: int) -> None:
    print(f"  {fault.kind:4} relay {fault.relay} with {fault.lanes or 'no lane'}, "
          f"{transactions} transactions so far", file=sys.stderr, flush=True)


def main() -> int:
    args = arguments()
    for noisy in ("pika", "kafka"):
        logging.getLogger(noisy).setLevel(logging.CRITICAL)
    binary = os.path.abspath(os.path.join(args.build, "postrider"))
    plan = nemesis.Plan(seconds=args.minutes * 60, relays=args.relays, seed=args.seed,
                        lease_s=args.lease)
    folder = tempfile.mkdtemp(prefix="postrider-kill-loop-")
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(Postgres())
        db = server.create_database("events")
        subprocess.run([binary, "migrate", "--dsn", db.dsn], check=True, stdout=subprocess.DEVNULL)
        Writers.prepare(db)
        sinks = [make_sink(name, folder, stack) for name in args.sinks.split(",")]
        result = nemesis.run(binary, db, folder, sinks, plan, show)
    print(result)
    if args.expect_broken:
        return 0 if any(v.lost for v in result.verdicts) else 1
    if not result.clean:
        print(f"logs are in {folder}")
    return 0 if result.clean else 1


if __name__ == "__main__":
    sys.exit(main())
