# SPDX-License-Identifier: Apache-2.0
"""Fixtures: one RabbitMQ node a session, with a TLS listener, users of few rights, and low limits."""

import base64
import hashlib
import logging
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "integration"))
from harness.certificates import Authority  # noqa: E402
from harness.rabbitmq import RabbitMQ  # noqa: E402

MAX_MESSAGE = 16 << 20
WEAK_PASSWORD = "correct horse"

# Clients that wait for a broker to come back say so at every try.
logging.getLogger("pika").setLevel(logging.CRITICAL)


def _user(name: str, password: str, *tags: str) -> dict:
    salt = b"salt"
    hashed = salt + hashlib.sha256(salt + password.encode()).digest()
    return {"name": name, "password_hash": base64.b64encode(hashed).decode(),
            "hashing_algorithm": "rabbit_password_hashing_sha256", "tags": list(tags), "limits": {}}


def _permission(user: str, vhost: str, write: str, everything: str = "") -> dict:
    return {"user": user, "vhost": vhost, "configure": everything, "write": write, "read": everything}


# "weak" may publish to w.open and w.topics, in the latter with the routing key "allowed". "rider" has no
# password: it shows a certificate. "closed" is a vhost that only guest may enter.
DEFINITIONS = {
    "users": [_user("guest", "guest", "administrator"), _user("weak", WEAK_PASSWORD),
              _user("rider", "never used")],
    "vhosts": [{"name": "/"}, {"name": "closed"}],
    "permissions": [_permission("guest", "/", ".*", ".*"), _permission("guest", "closed", ".*", ".*"),
                    _permission("weak", "/", "^w\\.(open|topics)$"), _permission("rider", "/", ".*")],
    "topic_permissions": [{"user": "weak", "vhost": "/", "exchange": "w.topics", "write": "^allowed$",
                           "read": ""}],
}


@pytest.fixture(scope="session")
def authority(tmp_path_factory) -> Authority:
    """Has signed the broker's certificate, which is for the name localhost only."""
    return Authority(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="session")
def client_certificate(authority) -> tuple[str, str]:
    return authority.issue("rider")


@pytest.fixture(scope="session")
def rabbitmq(authority):
    settings = {"max_message_size": str(MAX_MESSAGE), "auth_mechanisms.1": "PLAIN",
                "auth_mechanisms.2": "EXTERNAL", "ssl_cert_login_from": "common_name",
                "ssl_options.fail_if_no_peer_cert": "true"}
    with RabbitMQ(settings, (authority.ca, *authority.issue("localhost", "DNS:localhost")),
                  ("rabbitmq_auth_mechanism_ssl",), DEFINITIONS) as broker:
        yield broker
