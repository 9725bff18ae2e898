# SPDX-License-Identifier: Apache-2.0
"""kafka.py - a real Apache Kafka broker, and librdkafka's mock cluster, for tests.

Kafka is one KRaft node (broker and controller) on loopback ports, KafkaCluster three of them, made of
jars that Maven copies into a cache folder once: $POSTRIDER_CACHE, else ~/.cache/postrider. KafkaMock
drives the program tests/brokers/kafka_mock.c through its standard input.
"""

import base64
import collections
import contextlib
import fcntl
import hashlib
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from typing import Any, Iterator, NamedTuple

from . import ports
from .certificates import Authority
from .wait import Hopeless, wait_until

POM = pathlib.Path(__file__).resolve().parents[2] / "brokers" / "pom.xml"

# Records may bear any time, so nothing is deleted by age unless a test asks for that.
PROPERTIES = """\
process.roles=broker,controller
node.id={node}
controller.quorum.voters={voters}
listeners=PLAINTEXT://127.0.0.1:{broker},SASL://127.0.0.1:{sasl},CONTROLLER://127.0.0.1:{controller}{more_listeners}
advertised.listeners=PLAINTEXT://127.0.0.1:{broker},SASL://127.0.0.1:{sasl}{more_listeners}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL:SASL_PLAINTEXT,TLS:SSL,SASLTLS:SASL_SSL
listener.name.sasl.sasl.enabled.mechanisms=PLAIN
listener.name.sasl.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required user_rider="{password}";
log.dirs={folder}/logs
log.retention.ms=-1
num.partitions=4
offsets.topic.num.partitions=1
offsets.topic.replication.factor={replicas}
transaction.state.log.replication.factor={replicas}
transaction.state.log.min.isr=1
default.replication.factor={replicas}
group.initial.rebalance.delay.ms=0
auto.create.topics.enable={auto_create}
"""

# A listener with TLS, which asks for a client certificate, and one with TLS and passwords.
SECURED = """\
ssl.keystore.type=PEM
ssl.keystore.location={tls}/server.pem
ssl.truststore.type=PEM
ssl.truststore.location={tls}/ca.pem
listener.name.tls.ssl.client.auth=required
listener.name.sasltls.sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER
listener.name.sasltls.oauthbearer.sasl.jaas.config=org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub="broker";
listener.name.sasltls.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required user_rider="{password}";
listener.name.sasltls.scram-sha-256.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.sasltls.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
"""

LOGGING = """\
log4j.rootLogger=INFO, stdout
log4j.appender.stdout=org.apache.log4j.ConsoleAppender
log4j.appender.stdout.layout=org.apache.log4j.PatternLayout
log4j.appender.stdout.layout.ConversionPattern=%d %p %c{1}: %m%n
"""


# python3-kafka would give a broker two seconds for its first answer.
PATIENT = {"api_version_auto_timeout_ms": 60000}


class KafkaUnavailable(RuntimeError):
    """Kafka cannot be had here: no Java, no Maven, or no way to the jars."""


class Record(NamedTuple):
    """One consumed record; headers in order, repeated names included."""
    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes]]


def cache_folder() -> pathlib.Path:
    """Where downloads live between runs."""
    base = os.environ.get("POSTRIDER_CACHE")
    return pathlib.Path(base) if base else pathlib.Path.home() / ".cache" / "postrider"


def jars() -> pathlib.Path:
    """The folder with the broker's jars, filled by Maven on first use and after a change of pom.xml.

    Raises KafkaUnavailable when that is not possible.
    """
    if shutil.which("java") is None:
        raise KafkaUnavailable("java is not installed")
    name = "kafka-" + hashlib.sha256(POM.read_bytes()).hexdigest()[:12]
    folder = cache_folder() / name
    folder.parent.mkdir(parents=True, exist_ok=True)
    with open(cache_folder() / (name + ".lock"), "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.is_dir():
            _copy_jars(folder)
    return folder


def _copy_jars(folder: pathlib.Path) -> None:
    if shutil.which("mvn") is None:
        raise KafkaUnavailable("mvn is not installed")
    with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
        shutil.copy(POM, temporary)  # Maven must not write beside the source
        done = subprocess.run(
            ["mvn", "-q", "-B", "dependency:copy-dependencies", f"-DoutputDirectory={temporary}/lib"],
            cwd=temporary, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=900,
            check=False)
        if done.returncode != 0:
            raise KafkaUnavailable("mvn failed:\n" + (done.stdout + done.stderr)[-2000:])
        os.rename(f"{temporary}/lib", folder)


def make_certificates(folder: str) -> None:
    """ca.pem, other-ca.pem; server and client signed by the first, each NAME.crt and NAME.key, and
    both in NAME.pem, as Kafka reads them. The server's name is 127.0.0.1."""
    authority = Authority(folder, "ca")
    Authority(folder, "other-ca")
    for name in ("server", "client"):
        made = [pathlib.Path(path) for path in authority.issue(name, "IP:127.0.0.1")]
        certificate, key = (path.rename(pathlib.Path(folder, name + end))
                            for path, end in zip(made, (".crt", ".key")))
        pathlib.Path(folder, name + ".pem").write_text(key.read_text("ascii") + certificate.read_text("ascii"),
                                                       "ascii")


class Kafka:
    """One real node. Use as a context manager, or call start() and stop().

    `bootstrap` needs no authentication; `sasl_bootstrap` takes SASL PLAIN over plain text as user
    "rider" with PASSWORD. With `secured`, `tls_bootstrap` asks for a certificate of the CA in the folder
    `tls`, and `sasl_tls_bootstrap` for a password, by PLAIN or SCRAM. Given the
    `controllers` ports of a whole cluster, this is node number `node` of it.
    """

    PASSWORD = "correct horse"

    def __init__(self, auto_create: bool = False, settings: dict[str, str] | None = None,
                 secured: bool = False, heap: str = "512m", node: int = 1,
                 controllers: list[int] | None = None, cluster_id: str | None = None):
        self._jars = jars()
        self.folder = tempfile.mkdtemp(prefix="postrider-kafka-")
        self.tls = os.path.join(self.folder, "tls")
        self.port, self._sasl = ports.take(), ports.take()
        self._controllers = controllers or [ports.take()]
        self._secured = [ports.take(), ports.take()] if secured else []
        self._heap, self._node = heap, node
        self.bootstrap = f"127.0.0.1:{self.port}"
        self.sasl_bootstrap = f"127.0.0.1:{self._sasl}"
        self.tls_bootstrap, self.sasl_tls_bootstrap = (
            [f"127.0.0.1:{port}" for port in self._secured] if secured else ["", ""])
        self.log_path = os.path.join(self.folder, "server.log")
        self._process: subprocess.Popen | None = None
        self._configure(auto_create, settings or {}, cluster_id)

    def _configure(self, auto_create: bool, settings: dict[str, str], cluster_id: str | None) -> None:
        more = "".join(f",{name}://127.0.0.1:{port}"
                       for name, port in zip(("TLS", "SASLTLS"), self._secured))
        text = PROPERTIES.format(
            node=self._node, controller=self._controllers[self._node - 1], broker=self.port,
            voters=",".join(f"{i}@127.0.0.1:{port}" for i, port in enumerate(self._controllers, 1)),
            sasl=self._sasl, more_listeners=more, replicas=len(self._controllers),
            password=self.PASSWORD, folder=self.folder, auto_create=str(auto_create).lower())
        users: list[str] = []
        if self._secured:
            os.mkdir(self.tls)
            make_certificates(self.tls)
            text += SECURED.format(tls=self.tls, password=self.PASSWORD)
            for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-512"):
                users += ["--add-scram", f"{mechanism}=[name=rider,password={self.PASSWORD}]"]
        text += "".join(f"{name}={value}\n" for name, value in settings.items())
        pathlib.Path(self.folder, "server.properties").write_text(text, encoding="ascii")
        pathlib.Path(self.folder, "log4j.properties").write_text(LOGGING, encoding="ascii")
        self._tool("format", "-t", cluster_id or self.random_id(), "-c",
                   f"{self.folder}/server.properties", *users)

    @staticmethod
    def random_id() -> str:
        """A cluster's id: 16 random bytes."""
        while True:
            text = base64.urlsafe_b64encode(os.urandom(16)).decode().rstrip("=")
            if not text.startswith("-"):
                return text

    def _java(self, heap: str) -> list[str]:
        # A node lives for seconds: the second compiler would cost more than it can save.
        return ["java", f"-Xmx{heap}", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
                f"-Dlog4j.configuration=file:{self.folder}/log4j.properties",
                "-cp", f"{self._jars}/*"]

    def _tool(self, *args: str) -> str:
        done = subprocess.run([*self._java("128m"), "kafka.tools.StorageTool", *args],
                              capture_output=True, text=True, timeout=300, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"StorageTool {args[0]} failed:\n{done.stdout}{done.stderr}"[-2000:])
        return done.stdout.strip().splitlines()[-1] if done.stdout.strip() else ""

    def __enter__(self) -> "Kafka":
        return self.start()

    def __exit__(self, *_: Any) -> None:
        self.close()

    def start(self, timeout: float = 180.0) -> "Kafka":
        """Starts the node and waits until it answers; returns itself."""
        self.launch()
        return self.wait(timeout)

    def launch(self) -> None:
        """Starts the node, without waiting."""
        with open(self.log_path, "ab") as log:
            self._process = subprocess.Popen(
                [*self._java(self._heap), "kafka.Kafka", f"{self.folder}/server.properties"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)

    def wait(self, timeout: float = 180.0) -> "Kafka":
        """Waits until the node answers; returns itself."""
        try:
            wait_until(self._answers, f"Kafka answers (log: {self.log_path})", timeout, every=0.2)
        except BaseException:
            self.kill()
            raise
        return self

    def _answers(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            tail = pathlib.Path(self.log_path).read_text(encoding="utf-8", errors="replace")[-2000:]
            raise Hopeless(f"Kafka ended with status {self._process.returncode}:\n{tail}")
        with socket.create_connection(("127.0.0.1", self.port), 1):
            pass
        with self.admin() as admin:
            return bool(admin.describe_cluster()["brokers"])

    @property
    def pid(self) -> int:
        """Of the running server."""
        assert self._process is not None
        return self._process.pid

    def stop(self, timeout: float = 120.0) -> None:
        """Stops the node in an orderly way; its data stays."""
        self._end(signal.SIGTERM, timeout)

    def kill(self) -> None:
        """Ends the node at once, as a crash would; its data stays."""
        self._end(signal.SIGKILL, 60.0)

    def _end(self, how: signal.Signals, timeout: float) -> None:
        process, self._process = self._process, None
        if process is None or process.poll() is not None:
            return
        process.send_signal(how)
        try:
            process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(60)

    def restart(self) -> None:
        """Stops in an orderly way and starts again on the same port."""
        self.stop()
        self.start()

    def close(self) -> None:
        """Ends the node and removes its data."""
        self.kill()
        for port in (self.port, self._sasl, *self._secured, self._controllers[self._node - 1]):
            ports.release(port)
        shutil.rmtree(self.folder, ignore_errors=True)

    @contextlib.contextmanager
    def admin(self) -> Iterator[Any]:
        """The client for topics and rights."""
        from kafka.admin import KafkaAdminClient  # Debian package python3-kafka
        admin = KafkaAdminClient(bootstrap_servers=self.bootstrap, request_timeout_ms=60000, **PATIENT)
        try:
            yield admin
        finally:
            admin.close()

    def create_topic(self, name: str, partitions: int = 1, **config: str) -> None:
        """Creates a topic with a replica on each node and waits until it takes records; `config` keys with '_'
        for '.': max_message_bytes="1000"."""
        from kafka.admin import NewTopic
        with self.admin() as admin:
            admin.create_topics([NewTopic(
                name, partitions, len(self._controllers),
                topic_configs={k.replace("_", "."): v for k, v in config.items()})])
            wait_until(lambda: self._has_leaders(admin, name, partitions), f"topic {name} has leaders")

    @staticmethod
    def _has_leaders(admin: Any, topic: str, partitions: int) -> bool:
        found = admin.describe_topics([topic])[0]["partitions"]
        return len(found) == partitions and all(p["leader"] >= 0 for p in found)

    def delete_topic(self, name: str) -> None:
        """Deletes a topic and waits until it is gone."""
        with self.admin() as admin:
            admin.delete_topics([name])
            wait_until(lambda: name not in admin.list_topics(), f"topic {name} is deleted")

    def topics(self) -> set[str]:
        """Names of all topics."""
        with self.admin() as admin:
            return set(admin.list_topics())

    def consume_all(self, *topics: str, timeout: float = 300.0) -> list[Record]:
        """Every record of the topics, from the beginning to the end as it is now, in the order of
        each partition."""
        return consume_all(self.bootstrap, *topics, timeout=timeout)

    def first_offset(self, topic: str) -> int:
        """The offset of the oldest record that the broker keeps in the topic's first partition."""
        from kafka import KafkaConsumer, TopicPartition
        consumer = KafkaConsumer(bootstrap_servers=self.bootstrap, enable_auto_commit=False, **PATIENT)
        part = TopicPartition(topic, 0)
        try:
            return consumer.beginning_offsets([part])[part]
        finally:
            consumer.close(autocommit=False)


class KafkaCluster:
    """Three real nodes, each broker and controller. Use as a context manager. Topics have three replicas;
    records count as delivered when two have them."""

    def __init__(self, heap: str = "320m"):
        controllers = [ports.take() for _ in range(3)]
        cluster_id = Kafka.random_id()
        self.nodes = [Kafka(heap=heap, node=i + 1, controllers=controllers, cluster_id=cluster_id,
                            settings={"min.insync.replicas": "2"}) for i in range(3)]
        self.bootstrap = ",".join(node.bootstrap for node in self.nodes)

    def __enter__(self) -> "KafkaCluster":
        for node in self.nodes:
            node.launch()
        for node in self.nodes:
            node.wait(300)
        return self

    def __exit__(self, *_: Any) -> None:
        for node in self.nodes:
            node.close()

    def in_sync(self, topic: str) -> int:
        """The replicas that the partition with the fewest has in sync."""
        with self.nodes[0].admin() as admin:
            return min(len(p["isr"]) for p in admin.describe_topics([topic])[0]["partitions"])

    def leaders(self, topic: str) -> list[int]:
        """The leading node of each partition."""
        with self.nodes[0].admin() as admin:
            return [p["leader"] for p in sorted(admin.describe_topics([topic])[0]["partitions"],
                                                key=lambda p: p["partition"])]


def consume_all(bootstrap: str, *topics: str, timeout: float = 300.0) -> list[Record]:
    """As Kafka.consume_all() for any cluster. An independent client: python3-kafka, which gives up
    on metadata while a broker starts and may move to the end by itself: both are checked here. Records
    that the broker deletes meanwhile end the reading at once."""
    from kafka import KafkaConsumer
    from kafka.errors import OffsetOutOfRangeError
    consumer = KafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False,
                             auto_offset_reset="none", fetch_max_bytes=16 << 20,
                             max_partition_fetch_bytes=16 << 20, max_poll_records=5000, **PATIENT)
    try:
        parts = _partitions(consumer, topics)
        if not parts:
            return []
        consumer.assign(parts)
        starts, ends = consumer.beginning_offsets(parts), consumer.end_offsets(parts)
        for part in parts:
            consumer.seek(part, starts[part])
        records: list[Record] = []

        def read() -> bool:
            try:
                batches = consumer.poll(timeout_ms=500).values()
            except OffsetOutOfRangeError as e:
                raise Hopeless(f"records of {topics} were deleted while they were read: {e}") from e
            for batch in batches:
                records.extend(Record(r.topic, r.partition, r.offset, r.timestamp, r.key, r.value,
                                      r.headers) for r in batch)
            return all(consumer.position(part) >= ends[part] for part in parts)

        wait_until(read, f"all records of {topics} are read", timeout, every=0)
        counts = collections.Counter((r.topic, r.partition) for r in records)
        for part in parts:
            there = ends[part] - starts[part]
            assert counts[part.topic, part.partition] >= there, \
                f"{part}: the client read {counts[part.topic, part.partition]} of {there} records"
        return records
    finally:
        consumer.close(autocommit=False)


def _partitions(consumer, topics) -> list:
    """The partitions of the topics that exist, as every broker's metadata says; 30 s for the others."""
    from kafka import TopicPartition
    deadline = time.monotonic() + 30
    while True:
        known = consumer.topics()
        missing = [t for t in topics if t not in known or not consumer.partitions_for_topic(t)]
        if not missing or time.monotonic() > deadline:
            return [TopicPartition(topic, number) for topic in topics if topic not in missing
                    for number in sorted(consumer.partitions_for_topic(topic))]
        time.sleep(0.2)


class KafkaMock:
    """librdkafka's mock cluster: fast, and faulty on command. Keeps at most 5 MiB or 100,000 records
    a partition. Use as a context manager."""

    PRODUCE = 0

    def __init__(self, program: str, brokers: int = 1):
        self._process = subprocess.Popen([program, str(brokers)], stdin=subprocess.PIPE,
                                         stdout=subprocess.PIPE, text=True, bufsize=1)
        self._lock = threading.Lock()
        assert self._process.stdout is not None
        word, _, self.bootstrap = self._process.stdout.readline().strip().partition(" ")
        if word != "READY":
            raise RuntimeError(f"{program} did not start")

    def __enter__(self) -> "KafkaMock":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def command(self, text: str) -> None:
        """Sends one command of kafka_mock.c. Raises RuntimeError when it is refused."""
        assert self._process.stdin is not None and self._process.stdout is not None
        with self._lock:
            self._process.stdin.write(text + "\n")
            answer = self._process.stdout.readline().strip()
        if answer != "OK":
            raise RuntimeError(f"mock cluster: {text}: {answer or 'gone'}")

    def create_topic(self, name: str, partitions: int = 1) -> None:
        """Creates a topic; unknown ones come into being on first use."""
        self.command(f"topic {name} {partitions}")

    def fail_topic(self, name: str, code: int) -> None:
        """Metadata requests answer `code` for the topic; 0 ends that."""
        self.command(f"topicerr {name} {code}")

    def clear(self, api: int = PRODUCE) -> None:
        """Ends what fail_requests() began."""
        self.command(f"clear {api}")

    def fail_requests(self, code: int, count: int = 1, api: int = PRODUCE) -> None:
        """The next requests of a kind get an error."""
        self.command(f"err {api} {code} {count}")

    def down(self, broker: int = 1) -> None:
        """Closes a broker's listener and connections."""
        self.command(f"down {broker}")

    def move_leader(self, topic: str, partition: int, broker: int) -> None:
        """Makes a broker the leader of a partition."""
        self.command(f"leader {topic} {partition} {broker}")

    def delay(self, broker: int, ms: int) -> None:
        """Answers of a broker take this long."""
        self.command(f"rtt {broker} {ms}")

    def up(self, broker: int = 1) -> None:
        """Opens a broker's listener again."""
        self.command(f"up {broker}")

    def consume_all(self, *topics: str, timeout: float = 300.0) -> list[Record]:
        """As Kafka.consume_all()."""
        return consume_all(self.bootstrap, *topics, timeout=timeout)

    def close(self) -> None:
        """Ends the process."""
        if self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
