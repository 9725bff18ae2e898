# SPDX-License-Identifier: Apache-2.0
"""The webhook endpoint of the tests judges signatures by itself, and can be down."""

import json
import os
import urllib.error
import urllib.request

import pytest

from harness.receiver import Receiver, new_secret, verify


def vectors(root: str) -> list[dict]:
    with open(os.path.join(root, "tests", "data", "webhook-signatures.jsonl"), encoding="utf-8") as f:
        return [json.loads(line) for line in f]


def test_published_vectors_verify(root):
    checked = 0
    for v in vectors(root):
        if not isinstance(v.get("body"), str) or not v.get("secret", "").startswith("whsec_"):
            continue
        headers = {"webhook-id": v["id"], "webhook-timestamp": str(v["timestamp"]),
                   "webhook-signature": v["signature"]}
        assert verify(v["secret"], headers, v["body"].encode(), now=v["timestamp"]), v["source"]
        assert not verify(v["secret"], headers, v["body"].encode() + b" ", now=v["timestamp"])
        assert not verify(v["secret"], headers, v["body"].encode(), now=v["timestamp"] + 301)
        assert not verify(new_secret(), headers, v["body"].encode(), now=v["timestamp"])
        checked += 1
    assert checked


def test_unsigned_request_is_refused_and_recorded(receiver):
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(urllib.request.Request(receiver.url, b"{}"), timeout=60)
    assert len(receiver.deliveries) == 1 and not receiver.accepted


def test_receiver_that_is_down_refuses_connections_and_comes_back():
    with Receiver() as r:
        r.down()
        with pytest.raises(OSError):
            urllib.request.urlopen(r.url, b"{}", timeout=60)
        r.up()
        with pytest.raises(urllib.error.HTTPError, match="401"):
            urllib.request.urlopen(r.url, b"{}", timeout=60)
