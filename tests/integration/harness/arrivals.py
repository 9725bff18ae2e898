# SPDX-License-Identifier: Apache-2.0
"""arrivals.py - what arrived at each destination, and when.

One recorder a kind of sink. A RabbitMQ queue is consumed live; a Kafka topic carries the broker's
own time; the growth of a file is watched. Times are time.time().
"""

import bisect
import dataclasses
import json
import threading
import time

from .checker import Receipt
from .sinks import FileSink, KafkaSink, RabbitSink, WebhookSink
from .wait import wait_until

WATCH_S = 0.02


@dataclasses.dataclass(frozen=True)
class Arrival:
    """One copy of one event, in the order of arriving."""
    receipt: Receipt
    at: float


class _Recorder:
    def __init__(self, sink):
        self.sink = sink
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.failure: str | None = None

    def _watch(self) -> None:
        try:
            self.watch()
        except Exception as e:  # pylint: disable=broad-except
            self.failure = repr(e)

    def watch(self) -> None:
        """Runs until self._end is set."""

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_exc) -> None:
        self._end.set()
        self._thread.join(timeout=120)

    def arrivals(self, torn: int = 0) -> list[Arrival]:
        """All of them; the recorder must have ended."""
        raise NotImplementedError


class FileRecorder(_Recorder):
    """Notes the time at which the file had reached a size."""

    def __init__(self, sink: FileSink):
        super().__init__(sink)
        self._sizes: list[int] = [0]
        self._times: list[float] = [0.0]

    def watch(self) -> None:
        while True:
            last = self._end.is_set()
            self._look()
            if last:
                return
            self._end.wait(WATCH_S)

    def _look(self) -> None:
        try:
            with open(self.sink.path, "rb") as f:
                size = f.seek(0, 2)
        except FileNotFoundError:
            return
        if size > self._sizes[-1]:
            self._sizes.append(size)
            self._times.append(time.time())

    def arrivals(self, torn: int = 0) -> list[Arrival]:
        found, broken, end = [], 0, 0
        with open(self.sink.path, "rb") as f:
            for line in f:
                end += len(line)
                try:
                    event_id = json.loads(line)["eventId"]
                except ValueError:
                    broken += 1
                    continue
                i = min(bisect.bisect_left(self._sizes, end), len(self._times) - 1)
                found.append(Arrival(Receipt(event_id, line.rstrip(b"\n")), self._times[i]))
        assert broken <= torn, f"{broken} torn lines in {self.sink.path}"
        return found


class HookRecorder(_Recorder):
    """The receiver keeps times itself."""

    def arrivals(self, torn: int = 0) -> list[Arrival]:
        return [Arrival(Receipt(d.event_id, d.body), d.at) for d in self.sink.receiver.accepted]


class RabbitRecorder(_Recorder):
    """Consumes the queue while the test runs."""

    def __init__(self, sink: RabbitSink):
        super().__init__(sink)
        self._found: list[Arrival] = []

    def watch(self) -> None:
        # The answer to a second question comes after what had left the queue before the first.
        empty = 0
        with self.sink.broker.channel() as channel:
            for method, properties, body in channel.consume(
                    self.sink.queue, auto_ack=True, inactivity_timeout=0.2):
                if method is not None:
                    empty = 0
                    self._found.append(
                        Arrival(Receipt(properties.message_id or "", body), time.time()))
                elif empty == 2:
                    break
                elif self._end.is_set():
                    left = channel.queue_declare(self.sink.queue, passive=True).method.message_count
                    empty = 0 if left else empty + 1
            channel.cancel()

    def arrivals(self, torn: int = 0) -> list[Arrival]:
        assert not self.failure, self.failure
        return self._found


class KafkaRecorder(_Recorder):
    """Reads the topic at the end; the broker has stamped each record."""

    @staticmethod
    def create_topic(sink: KafkaSink, partitions: int = 4) -> None:
        """To be called before anything is produced."""
        sink.broker.create_topic(sink.topic, partitions, message_timestamp_type="LogAppendTime")
        wait_until(lambda: sink.topic in sink.broker.topics(), "the topic exists")

    def arrivals(self, torn: int = 0) -> list[Arrival]:
        return [Arrival(Receipt(dict(r.headers).get("eventId", b"").decode(), r.value),
                        r.timestamp_ms / 1000)
                for r in self.sink.broker.consume_all(self.sink.topic)]


def recorder(sink) -> _Recorder:
    """The recorder that fits; a Kafka topic is made by it, with the broker's time."""
    if isinstance(sink, KafkaSink):
        KafkaRecorder.create_topic(sink)
        return KafkaRecorder(sink)
    if isinstance(sink, RabbitSink):
        sink.broker.declare(sink.queue)
        return RabbitRecorder(sink)
    return {FileSink: FileRecorder, WebhookSink: HookRecorder}[type(sink)](sink)
