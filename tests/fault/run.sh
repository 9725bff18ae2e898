#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# run.sh - the long fault runs, on real servers that they start themselves.
#
# Usage: tests/fault/run.sh [--build FOLDER] SCRIPT [OPTIONS]      with --help: the options of the script
#   kill_loop   relays are killed, stopped and ended under load; the checker's table
#   takeover    time from a signal to the first delivery by another process
#   isolation   a healthy destination beside a dead and a slow one
#   reloads     configuration reloads under load, half of them with a bad file
#   rabbitmq_soak  a million events through the RabbitMQ adapter; --kills ends the broker under it
#   mutants     builds the two negative controls and wants the kill loop's checker to find them
#   all         everything above with the sizes of the report, about 25 minutes
# Without --build the folder is build/, which is built first.
set -eu

usage() { sed -n '5,13s/^# \{0,1\}//p' "$0" >&2; exit 64; }

cd "$(dirname "$0")/../.."
# The Debian packages of the tests belong to Debian's Python.
python=/usr/bin/python3
folder=

run() { # SCRIPT OPTIONS...
    script=$1
    shift
    echo "=== $script $*"
    $python "tests/fault/$script.py" --build "$folder" "$@"
}

mutants() { # [MINUTES]
    for name in cursor_by_seq early_delivered; do
        cmake -S . -B "$folder/mutant-$name" -G Ninja -DPOSTRIDER_TESTS=OFF -DPOSTRIDER_MUTANT=$name >/dev/null 2>&1
        ninja -C "$folder/mutant-$name" >/dev/null
        echo "=== kill_loop with $name: it has to lose events"
        $python tests/fault/kill_loop.py --build "$folder/mutant-$name" --minutes "${1:-0.4}" --sinks queue,hook \
            --expect-broken
    done
}

[ $# -gt 0 ] || usage
if [ "$1" = --build ]; then
    [ $# -gt 2 ] || usage
    folder=$2
    shift 2
else
    deploy/install-deps.sh build postgres rabbitmq kafka tests
    folder=build
    cmake -S . -B build -G Ninja >/dev/null
    ninja -C build >/dev/null
fi
script=$1
shift
case $script in
kill_loop | takeover | isolation | reloads | rabbitmq_soak) run "$script" "$@" ;;
mutants) mutants "$@" ;;
all)
    failed=
    run kill_loop --minutes 5 || failed="$failed kill_loop"
    run takeover --rounds 50 || failed="$failed takeover"
    run isolation || failed="$failed isolation"
    run reloads --rounds 300 || failed="$failed reloads"
    run rabbitmq_soak --kills 5 || failed="$failed rabbitmq_soak"
    mutants || failed="$failed mutants"
    [ -z "$failed" ] || { echo "failed:$failed" >&2; exit 1; }
    ;;
*) usage ;;
esac
