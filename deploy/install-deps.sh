#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# install-deps.sh - installs the Debian packages that building, running or testing Postrider needs.
#
# Usage: deploy/install-deps.sh GROUP...      groups: build postgres quickstart rabbitmq kafka tests
#
# Installs only what is missing and prints it first; does nothing the second time. Needs root or sudo.
# Servers that come along (PostgreSQL, RabbitMQ, Prometheus, pgbouncer) are neither started nor enabled: the
# quickstart and the tests start their own, in folders of their own.
set -eu

# A line is a package, or "command:package" where any other source of the command will do.
packages() {
    case $1 in
    build)
        echo build-essential pkg-config ninja-build cmake
        echo libpq-dev librdkafka-dev librabbitmq-dev libcurl4-openssl-dev libmicrohttpd-dev
        echo libjansson-dev libyaml-dev libssl-dev
        ;;
    postgres) echo postgresql psql:postgresql-client ;;
    quickstart) echo curl:curl ;;
    rabbitmq) echo rabbitmq-server curl:curl ;;
    kafka) echo java:default-jre-headless mvn:maven kcat:kcat ;;
    tests)
        echo libcmocka-dev node:nodejs npm:npm promtool:prometheus pgbouncer openssl
        echo go:golang-go javac:default-jdk-headless ip:iproute2 slowhttptest:slowhttptest
        echo python3 python3-pytest python3-pytest-xdist python3-psycopg2 python3-pika python3-kafka python3-yaml
        ;;
    *)
        echo "install-deps.sh: unknown group: $1" >&2
        exit 64
        ;;
    esac
}

is_there() { # package | command:package
    case $1 in
    *:*) command -v "${1%%:*}" >/dev/null 2>&1 && return 0 ;;
    esac
    [ "$(dpkg-query -W -f='${db:Status-Status}' "${1##*:}" 2>/dev/null)" = installed ]
}

as_root() {
    if [ "$(id -u)" = 0 ]; then
        env "$@"
    elif command -v sudo >/dev/null 2>&1; then
        sudo env "$@"
    else
        echo "install-deps.sh: these packages are missing, and neither root nor sudo is at hand:$missing" >&2
        exit 77
    fi
}

if [ $# = 0 ]; then
    sed -n '3,9s/^# \{0,1\}//p' "$0" >&2
    exit 64
fi
if ! command -v apt-get >/dev/null 2>&1; then
    echo "install-deps.sh: needs Debian or a relative of it (no apt-get here)" >&2
    exit 69
fi

missing=
for group in "$@"; do
    entries=$(packages "$group") || exit
    for entry in $entries; do
        is_there "$entry" || missing="$missing ${entry##*:}"
    done
done
if [ -z "$missing" ]; then
    exit 0
fi
echo "Installing Debian packages:$missing"

# While policy-rc.d answers 101, no package starts a service. It is ours only if it was not there.
policy=/usr/sbin/policy-rc.d
made_policy=
clean_up() {
    if [ -n "$made_policy" ]; then as_root rm -f "$policy"; fi
}
trap clean_up EXIT
trap 'exit 130' INT TERM
if [ ! -e "$policy" ]; then
    made_policy=1
    as_root sh -c "printf '#!/bin/sh\nexit 101\n' > $policy && chmod 755 $policy"
fi
log=$(mktemp)
# A package list may be absent or out of date; the second try is for a mirror that changed meanwhile.
# shellcheck disable=SC2086  # a list of package names
if ! { as_root DEBIAN_FRONTEND=noninteractive apt-get update -q >"$log" 2>&1 &&
    as_root DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $missing >>"$log" 2>&1; } &&
    ! { as_root DEBIAN_FRONTEND=noninteractive apt-get update -q >>"$log" 2>&1 &&
        as_root DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $missing >>"$log" 2>&1; }; then
    tail -n 30 "$log" >&2
    echo "install-deps.sh: apt-get failed; the whole log is in $log" >&2
    exit 69
fi
rm -f "$log"
if [ -d /run/systemd/system ]; then
    for package in $missing; do
        case $package in
        postgresql | rabbitmq-server | prometheus | pgbouncer)
            as_root systemctl disable --quiet "$package" 2>/dev/null || true
            ;;
        esac
    done
fi
