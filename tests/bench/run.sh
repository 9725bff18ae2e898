#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# run.sh - builds Postrider with optimisation and measures it beside the limits of this machine.
#
# Usage: tests/bench/run.sh [--scenario NAME]... [--events N] [--runs N] [--seconds N] [--json FILE]
#
# Starts its own PostgreSQL, Apache Kafka and RabbitMQ on loopback and stops them at the end. All
# scenarios with 1,000,000 events and three runs take about half an hour. The table goes to standard
# output, progress to standard error; the exit status says whether it ran, not whether targets were met.
set -eu

cd "$(dirname "$0")/../.."
# The Debian packages of the tests belong to Debian's Python, whatever else is in the PATH.
python=/usr/bin/python3

case " $* " in
*" -h "* | *" --help "*) exec "$python" tests/bench/bench.py --build build --help ;;
esac
deploy/install-deps.sh build postgres rabbitmq tests >&2
deploy/install-deps.sh kafka >&2 || export POSTRIDER_NO_KAFKA=1
mkdir -p build
cmake -S . -B build -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo -DPOSTRIDER_TESTS=ON >build/bench.log 2>&1 &&
    ninja -C build postrider adapters/all tests/bench/all kafka_bare >>build/bench.log 2>&1 || {
    tail -n 40 build/bench.log >&2
    exit 70
}
exec "$python" tests/bench/bench.py --build build "$@"
