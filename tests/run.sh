#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# run.sh - builds Postrider and runs every test, on real servers that it starts itself.
#
# Usage: tests/run.sh [--quick] [--no-kafka] [--strict] [-k EXPRESSION]
#   --quick          leaves the sanitizer builds out
#   --no-kafka       leaves Apache Kafka out (its tests are counted as skipped)
#   --strict         fails when a test was skipped without a reason, or for want of Kafka
#   -k EXPRESSION    only the integration tests that match (pytest -k), and no other stage
#
# Installs missing Debian packages first, so it needs root or sudo once. Everything it makes is in build/
# and in temporary folders; servers listen on free loopback ports and are stopped at the end. The last
# line is `N passed, N failed`; the exit status is 0 only if nothing failed and something ran.
set -u

usage() { sed -n '5,9s/^# \{0,1\}//p' "$0"; }

quick=
kafka=1
strict=
filter=
while [ $# -gt 0 ]; do
    case $1 in
    --quick) quick=1 ;;
    --no-kafka) kafka= ;;
    --strict) strict=--strict ;;
    -k)
        [ $# -ge 2 ] || { usage >&2; exit 64; }
        filter=$2
        shift
        ;;
    -h | --help) usage; exit 0 ;;
    *) usage >&2; exit 64 ;;
    esac
    shift
done

cd "$(dirname "$0")/.." || exit 70
root=$PWD
results=$root/build/results
failed_stages=
jobs=$(nproc 2>/dev/null || echo 2)
# Tests on servers mostly wait, so there is one more than processors. A file stays whole, since its tests share
# servers.
workers=$((jobs < 4 ? jobs + 1 : 4))
# The Debian packages of the tests belong to Debian's Python, whatever else is in the PATH.
python=/usr/bin/python3

heading() { printf '\n=== %s ===\n' "$1"; }

stage_failed() {
    echo "FAILED: $1"
    failed_stages="$failed_stages
  $1"
}

# build NAME FOLDER CMAKE-ARGUMENTS...: configures and builds; shows the log only when that fails.
build() {
    name=$1
    folder=$2
    shift 2
    log=$results/build-$name.log
    if cmake -S . -B "$folder" -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo -DPOSTRIDER_WERROR=ON \
        -DPOSTRIDER_TESTS=ON "$@" >"$log" 2>&1 && ninja -C "$folder" -j "$jobs" >>"$log" 2>&1; then
        tail -n 1 "$log"
        return 0
    fi
    tail -n 60 "$log"
    stage_failed "build: $name"
    return 1
}

# run_ctest NAME FOLDER CTEST-ARGUMENTS...
run_ctest() {
    name=$1
    folder=$2
    shift 2
    ctest --test-dir "$folder" --output-on-failure -j "$jobs" --output-junit "$results/$name.xml" "$@" ||
        stage_failed "tests: $name"
    # Tells the same test of another build apart.
    sed -i "s/<testcase name=\"/&$name./" "$results/$name.xml" 2>/dev/null
}

# run_pytest FOLDER-OF-TESTS PYTEST-ARGUMENTS...
run_pytest() {
    folder=$1
    shift
    POSTRIDER_BUILD=$root/build "$python" -m pytest -q -ra "tests/$folder" --junitxml="$results/$folder.xml" "$@" ||
        stage_failed "tests: $folder"
}

finish() {
    heading "Result"
    if [ -n "$failed_stages" ]; then
        printf 'Failed stages:%s\n' "$failed_stages"
    fi
    set -- "$results"/*.xml
    [ -e "$1" ] || set --
    "$python" tests/support/count_results.py $strict "$@"
    status=$?
    [ -z "$failed_stages" ] || status=1
    exit "$status"
}

heading "Packages"
groups="build postgres quickstart rabbitmq tests"
kafka_missing=
# shellcheck disable=SC2086  # a list of group names
deploy/install-deps.sh $groups || { echo "0 passed, 0 failed"; exit 69; }
if [ -n "$kafka" ] && ! deploy/install-deps.sh kafka; then
    kafka=
    kafka_missing=1
fi
mkdir -p "$results"
rm -f "$results"/*.xml
fetch_kafka() { (cd tests/integration && "$python" -c 'from harness.kafka import jars; print("Kafka:", jars())'); }
if [ -n "$kafka" ] && ! fetch_kafka; then
    kafka=
    kafka_missing=1
fi
if [ -n "$kafka_missing" ]; then
    cat <<'END'
!!! Apache Kafka could not be fetched (Java, Maven or its repository is missing).
!!! Every test that needs it is SKIPPED, and nothing below says anything about Kafka.
END
    [ -z "$strict" ] || stage_failed "packages: Apache Kafka"
fi
[ -n "$kafka" ] || export POSTRIDER_NO_KAFKA=1
if [ -f tests/contract/package-lock.json ]; then
    npm --prefix tests/contract ci --ignore-scripts --no-audit --no-fund --silent ||
        stage_failed "packages: npm modules of tests/contract"
fi

heading "Build (RelWithDebInfo, warnings are errors)"
build main build || finish

if [ -z "$filter" ]; then
    heading "Unit, conformance and lint tests"
    run_ctest main build -LE 'brokers|contract' # those are run by pytest below, test by test
    if [ -z "$quick" ]; then
        heading "Unit and conformance tests under AddressSanitizer and UndefinedBehaviorSanitizer"
        build asan build/asan -DPOSTRIDER_SANITIZE=address,undefined &&
            run_ctest asan build/asan -L 'unit|conformance'
        heading "Unit and conformance tests under ThreadSanitizer"
        build tsan build/tsan -DPOSTRIDER_SANITIZE=thread &&
            run_ctest tsan build/tsan -L 'unit|conformance'
    fi
fi

if [ -z "$filter" ]; then
    heading "Adapters against real brokers, a faulty receiver and other people's verifiers"
    run_pytest brokers -n "$workers" --dist loadfile
    run_pytest contract
fi
heading "Integration tests: the relay on real servers"
run_pytest integration -n "$workers" --dist loadfile ${filter:+-k "$filter"}
finish
