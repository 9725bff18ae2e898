#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Usage: check_exports.sh ADAPTER.so - fails unless it exports one symbol, the
# entry point.
set -eu
symbols=$(nm -D --defined-only "$1" | awk '{print $3}')
if [ "$symbols" != rider_publisher_entry ]; then
    printf 'exports of %s:\n%s\n' "$1" "$symbols" >&2
    exit 1
fi
