#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# check_symbols.sh ADAPTER_DIR [BINARY] - what the built files export and load.
#
# Each adapter exports rider_publisher_entry and nothing else; the core's binary loads no library of an
# adapter. Neither can be seen in the sources.
set -u

[ $# -ge 1 ] || { echo "usage: check_symbols.sh ADAPTER_DIR [BINARY]" >&2; exit 64; }
failed=0
fail() { echo "$*"; failed=1; }

count=0
for so in "$1"/postrider-*.so; do
    [ -e "$so" ] || continue
    count=$((count + 1))
    exported=$(nm -D --defined-only "$so" | awk '{ print $NF }' | tr '\n' ' ')
    [ "$exported" = "rider_publisher_entry " ] ||
        fail "$so exports \"$exported\", expected \"rider_publisher_entry \""
done
[ "$count" -gt 0 ] || fail "no adapter in $1"

if [ $# -ge 2 ]; then
    loaded=$(ldd "$2") || fail "ldd cannot read $2"
    for library in librdkafka librabbitmq libcurl; do
        case $loaded in
        *"$library"*) fail "$2 loads $library, which belongs to an adapter" ;;
        esac
    done
fi
exit "$failed"
