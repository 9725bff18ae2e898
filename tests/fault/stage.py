# SPDX-License-Identifier: Apache-2.0
"""stage.py - what the scripts of this folder share: the harness, a migrated database, arguments."""

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
from harness.kafka import Kafka
from harness.postgres import Database, Postgres
from harness.rabbitmq import RabbitMQ
from harness.receiver import Receiver
from harness.sinks import KafkaSink, RabbitSink, WebhookSink, file_sink
from harness.writers import Writers


def parser(description: str) -> argparse.ArgumentParser:
    """With the argument that all have."""
    made = argparse.ArgumentParser(description=description.split(";")[0])
    made.add_argument("--build", default="build", help="build folder (default: build)")
    return made


class Stage:
    """A PostgreSQL with a migrated database, a folder, and sinks on demand. A context manager."""

    def __init__(self, args: argparse.Namespace):
        for noisy in ("pika", "kafka"):
            logging.getLogger(noisy).setLevel(logging.CRITICAL)
        self.binary = os.path.abspath(os.path.join(args.build, "postrider"))
        self.folder = tempfile.mkdtemp(prefix="postrider-fault-")
        self._stack = contextlib.ExitStack()
        self._server: Postgres | None = None

    def __enter__(self) -> "Stage":
        self._server = self._stack.enter_context(Postgres())
        return self

    def __exit__(self, *exc) -> None:
        self._stack.__exit__(*exc)

    def database(self, name: str) -> Database:
        """With the schema and the tables of the ground truth."""
        db = self._server.create_database(name)
        subprocess.run([self.binary, "migrate", "--dsn", db.dsn], check=True,
                       stdout=subprocess.DEVNULL)
        Writers.prepare(db)
        return db

    def subfolder(self, name: str) -> str:
        path = os.path.join(self.folder, name)
        os.makedirs(path)
        return path

    def sink(self, name: str):
        """file, hook, queue (RabbitMQ) or topic (Kafka), each with a server of its own."""
        if name == "queue":
            return RabbitSink(name, self._stack.enter_context(RabbitMQ()), "events")
        if name == "topic":
            return KafkaSink(name, self._stack.enter_context(Kafka()), "events")
        if name == "hook":
            receiver = self._stack.enter_context(Receiver())
            receiver.delay = 0.01  # so that something is under way whenever a relay is killed
            return WebhookSink(name, receiver)
        return file_sink(self.folder, name)
