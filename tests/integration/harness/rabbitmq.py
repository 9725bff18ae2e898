# SPDX-License-Identifier: Apache-2.0
"""rabbitmq.py - a private RabbitMQ node from the Debian package, started by hand.

The server script is called directly, not through the package's wrapper, which would change the user
and the paths; so it runs the same for root and for anybody else. Everything lives in one folder: HOME
with the Erlang cookie, database, log. The node has its own ports, name and port mapper (epmd), which
runs as our child, so that nodes of several tests live side by side and every process is stopped by
the id we got when we started it.
"""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time

import pika

from . import ports
from .wait import Hopeless, wait_until

BIN = "/usr/lib/rabbitmq/bin"


class RabbitMQ:
    """One node. Use as a context manager, or call start() and stop().

    `settings` are lines of rabbitmq.conf; `tls` is (ca, certificate, key) for a second listener on
    `tls_port`; `plugins` are enabled; `definitions` are loaded at each start and have to name the
    user guest.
    """

    def __init__(self, settings: dict[str, str] | None = None,
                 tls: tuple[str, str, str] | None = None,
                 plugins: tuple[str, ...] = (), definitions: dict | None = None):
        self.folder = tempfile.mkdtemp(prefix="postrider-rabbitmq-")
        self.port, self.tls_port = ports.take(), ports.take()
        self._dist_port, self._epmd_port = ports.take(), ports.take()
        self.node = f"postrider{self.port}@localhost"
        self.log_path = os.path.join(self.folder, "server.out")
        self._process: subprocess.Popen | None = None
        self._epmd: subprocess.Popen | None = None
        os.mkdir(os.path.join(self.folder, "home"))
        settings = dict(settings or {})
        if definitions:
            settings["load_definitions"] = os.path.join(self.folder, "definitions.json")
            with open(settings["load_definitions"], "w", encoding="utf-8") as f:
                json.dump(definitions, f)
        self._write_config(settings, tls, plugins)

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@127.0.0.1:{self.port}/%2F"

    @property
    def pid(self) -> int:
        """Process id of the Erlang VM."""
        assert self._process, "the node is not running"
        return self._process.pid

    def _write_config(self, settings: dict[str, str], tls: tuple[str, str, str] | None,
                      plugins: tuple[str, ...]) -> None:
        lines = {
            "listeners.tcp.1": f"127.0.0.1:{self.port}",
            "log.console": "false",
            "disk_free_limit.absolute": "50MB",
            "vm_memory_high_watermark.absolute": "2GB",
        }
        if tls:
            lines |= {
                "listeners.ssl.1": f"127.0.0.1:{self.tls_port}",
                "ssl_options.cacertfile": tls[0],
                "ssl_options.certfile": tls[1],
                "ssl_options.keyfile": tls[2],
                "ssl_options.verify": "verify_peer",
                "ssl_options.fail_if_no_peer_cert": "false",
            }
        lines |= settings
        with open(os.path.join(self.folder, "rabbitmq.conf"), "w", encoding="ascii") as f:
            f.writelines(f"{key} = {value}\n" for key, value in lines.items())
        with open(os.path.join(self.folder, "enabled_plugins"), "w", encoding="ascii") as f:
            f.write(f"[{','.join(plugins)}].\n")

    def _env(self) -> dict[str, str]:
        def inside(name: str) -> str:
            return os.path.join(self.folder, name)
        return {
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "HOME": inside("home"),
            "RABBITMQ_NODENAME": self.node,
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_MNESIA_BASE": inside("mnesia"),
            "RABBITMQ_LOG_BASE": inside("log"),
            "RABBITMQ_CONFIG_FILE": inside("rabbitmq.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": inside("enabled_plugins"),
            "RABBITMQ_PID_FILE": inside("pid"),
            "RABBITMQ_DIST_PORT": str(self._dist_port),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
            "ERL_EPMD_PORT": str(self._epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            # The script then becomes the Erlang VM instead of its parent.
            "RUNNING_UNDER_SYSTEMD": "true",
        }

    def start(self, timeout: float = 180.0) -> "RabbitMQ":
        """Starts the node and waits until a client can log in."""
        if self._epmd is None:
            self._epmd = subprocess.Popen(["epmd", "-port", str(self._epmd_port),
                                           "-address", "127.0.0.1"], cwd=self.folder,
                                          stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                          stderr=subprocess.DEVNULL, start_new_session=True)
            # The node would otherwise start one of its own, which nobody ends.
            wait_until(self._has_mapper, "the port mapper listens")
        self.launch()
        wait_until(self._can_log_in, f"RabbitMQ to start, see {self.log_path}", timeout)
        return self

    def _has_mapper(self) -> bool:
        socket.create_connection(("127.0.0.1", self._epmd_port), 5).close()
        return True

    def launch(self) -> None:
        """Starts the node without waiting for it."""
        with open(self.log_path, "ab") as log:
            self._process = subprocess.Popen([f"{BIN}/rabbitmq-server"], env=self._env(),
                                             cwd=self.folder, stdin=subprocess.DEVNULL,
                                             stdout=log, stderr=log, start_new_session=True)

    def _can_log_in(self) -> bool:
        code = self._process.poll() if self._process else None
        if code is not None:
            with open(self.log_path, errors="replace", encoding="utf-8") as f:
                raise Hopeless(f"RabbitMQ ended with {code}: {f.read()[-2000:]}")
        self.connect().close()
        return True

    def _signal(self, number: int, timeout: float) -> None:
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(60)
        self._process = None

    def shut_down(self) -> None:
        """Stops the node in good order and keeps its data."""
        self._signal(signal.SIGTERM, 120)

    def kill(self) -> None:
        """Ends the node as a crash would and keeps its data."""
        self._signal(signal.SIGKILL, 60)

    def restart(self) -> None:
        """Stops the node in good order and starts it again."""
        self.shut_down()
        self.start()

    def stop(self) -> None:
        """Ends node and port mapper and removes all data."""
        self._signal(signal.SIGTERM, 60)
        if self._epmd:
            self._epmd.terminate()
            self._epmd.wait(60)
            self._epmd = None
        shutil.rmtree(self.folder, ignore_errors=True)
        for port in (self.port, self.tls_port, self._dist_port, self._epmd_port):
            ports.release(port)

    def __enter__(self) -> "RabbitMQ":
        try:
            return self.start()
        except BaseException:
            self.stop()
            raise

    def __exit__(self, *_exc) -> None:
        self.stop()

    def ctl(self, *args: str, timeout: float = 180.0) -> str:
        """Runs rabbitmqctl on this node and returns what it printed."""
        done = subprocess.run([f"{BIN}/rabbitmqctl", "--quiet", "--node", self.node, *args],
                              env=self._env(), cwd=self.folder, capture_output=True, text=True,
                              timeout=timeout, check=False)
        assert done.returncode == 0, f"rabbitmqctl {' '.join(args)}: {done.stdout}{done.stderr}"
        return done.stdout

    def log_text(self) -> str:
        """What the broker has logged."""
        with open(os.path.join(self.folder, "log", f"{self.node}.log"), errors="replace", encoding="utf-8") as f:
            return f.read()

    def block_publishers(self) -> None:
        """Raises the memory alarm."""
        self.ctl("set_vm_memory_high_watermark", "absolute", "1MB")

    def unblock_publishers(self) -> None:
        self.ctl("set_vm_memory_high_watermark", "absolute", "2GB")

    def connect(self) -> pika.BlockingConnection:
        """A client connection as guest; the caller closes it."""
        parameters = pika.URLParameters(self.url)
        parameters.socket_timeout, parameters.stack_timeout = 60, 90
        return pika.BlockingConnection(parameters)

    @contextlib.contextmanager
    def channel(self):
        """A channel of a connection of its own."""
        connection = self.connect()
        try:
            yield connection.channel()
        finally:
            if connection.is_open:
                connection.close()

    def declare(self, queue: str, exchange: str = "", key: str = "#", kind: str = "topic",
                arguments: dict | None = None) -> None:
        """Declares a durable queue, and an exchange and a binding to it if one is named."""
        with self.channel() as ch:
            ch.queue_declare(queue, durable=True, arguments=arguments)
            if exchange:
                ch.exchange_declare(exchange, kind, durable=True)
                ch.queue_bind(queue, exchange, key)

    def length(self, queue: str) -> int:
        with self.channel() as ch:
            return ch.queue_declare(queue, passive=True).method.message_count

    def consume(self, queue: str, quiet: float = 2.0, limit: int | None = None,
                arguments: dict | None = None) -> list[tuple]:
        """Takes all messages off a queue, (properties, body) in order, until it is empty for
        `quiet` seconds or `limit` were taken. Those that the broker counts at the start come, however
        busy it is."""
        taken: list[tuple] = []
        if limit == 0:
            return taken
        with self.channel() as ch:
            there = ch.queue_declare(queue, passive=True).method.message_count
            there = there if limit is None else min(there, limit)
            patience = time.monotonic() + 120
            ch.basic_qos(prefetch_count=2000)
            unacked = 0
            for method, properties, body in ch.consume(queue, inactivity_timeout=quiet,
                                                       arguments=arguments):
                if method is None:
                    if len(taken) >= there or time.monotonic() > patience:
                        break
                    continue
                taken.append((properties, body))
                unacked = method.delivery_tag
                if len(taken) % 1000 == 0:
                    ch.basic_ack(unacked, multiple=True)
                    unacked = 0
                if len(taken) == limit:
                    break
            if unacked:
                ch.basic_ack(unacked, multiple=True)
            ch.cancel()
        return taken
