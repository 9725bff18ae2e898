#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# quickstart.sh - shows Postrider at work on this machine, from nothing to delivered events.
#
# Usage: deploy/quickstart.sh [--with rabbitmq,kafka]
#        deploy/quickstart.sh --down
#
# Installs missing Debian packages (root or sudo), builds, starts a private PostgreSQL cluster, two webhook
# receivers and the relay, subscribes one receiver through the HTTP API, submits and approves a request in SQL,
# shows what arrived, and rotates the subscriber's secret. Run it again for another request. --with adds real
# brokers; --down stops everything and removes the state folder.
#
# Everything it makes is in one folder: POSTRIDER_STATE, else /var/lib/postrider-quickstart for root and
# ~/.local/state/postrider-quickstart for others, besides build/quickstart in the source tree. Servers
# listen on 127.0.0.1 only. PostgreSQL refuses root and then runs as the user postgres.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
build=$root/build/quickstart
if [ -n "${POSTRIDER_STATE:-}" ]; then
    state=$POSTRIDER_STATE
elif [ "$(id -u)" = 0 ]; then
    state=/var/lib/postrider-quickstart
else
    state=${XDG_STATE_HOME:-$HOME/.local/state}/postrider-quickstart
fi
case $state in
/*) ;;
*) state=$PWD/$state ;;
esac
marker=$state/.postrider-quickstart # nothing is removed from a folder without it

if [ -t 1 ]; then bold=$'\e[1m' plain=$'\e[0m'; else bold='' plain=''; fi
step() { printf '\n%s%s%s\n' "$bold" "$*" "$plain"; }
say() { printf '  %s\n' "$*"; }
die() {
    printf 'quickstart.sh: %s\n' "$*" >&2
    exit 1
}
usage() { sed -n '5,6s/^# //p' "$0"; }

# --- small tools ------------------------------------------------------------------------------------

# PostgreSQL refuses to run as root.
as_postgres() {
    if [ "$(id -u)" = 0 ]; then
        setpriv --reuid=postgres --regid=postgres --init-groups -- "$@"
    else
        "$@"
    fi
}

# port NAME FIRST: a free port, the same one in the next run.
port() {
    local file=$state/ports/$1 number
    if [ ! -s "$file" ]; then
        for ((number = $2; number < $2 + 200; number++)); do
            if ! (exec 3<>"/dev/tcp/127.0.0.1/$number") 2>/dev/null && ! grep -qsx "$number" "$state"/ports/*; then
                mkdir -p "$state/ports"
                echo "$number" >"$file"
                break
            fi
        done
    fi
    [ -s "$file" ] || die "no free port from $2 on"
    cat "$file"
}

# wait_for SECONDS COMMAND...: until the command succeeds.
wait_for() {
    local limit=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        if ((SECONDS >= limit)); then return 1; fi
        sleep 0.1
    done
}
listens() { (exec 3<>"/dev/tcp/127.0.0.1/$1"); }
is_ready() {
    local line
    exec 3<>"/dev/tcp/127.0.0.1/$1" || return 1
    printf 'GET /readyz HTTP/1.0\r\nHost: 127.0.0.1:%s\r\n\r\n' "$1" >&3
    read -r line <&3
    exec 3>&-
    [[ $line == *" 200 "* ]]
}

# alive PIDFILE: the process of that file runs and is one of ours (its command line names the state
# folder), so that a number which was given to another program is never signalled.
alive() {
    local pid
    pid=$(head -n 1 "$1" 2>/dev/null) && [ -n "$pid" ] &&
        tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null | grep -qF "$state"
}

# stop_process NAME PIDFILE [SIGNAL]
stop_process() {
    local pid
    if alive "$2"; then
        pid=$(head -n 1 "$2")
        kill "-${3:-TERM}" "$pid"
        wait_for 30 not_there "$pid" || kill -KILL "$pid"
        say "stopped $1 (pid $pid)"
    fi
    rm -f "$2"
}
not_there() { ! kill -0 "$1" 2>/dev/null; }

# start_process NAME LOG COMMAND...: in the background, detached from this terminal.
start_process() {
    local name=$1 log=$2
    shift 2
    setsid "$@" </dev/null >>"$log" 2>&1 &
    echo $! >"$state/$name.pid"
}

wants() { [[ $with == *,$1,* ]]; }

sql() { "$pg_bin/psql" -X -q -v ON_ERROR_STOP=1 "$dsn" "$@"; }

# --- the parts --------------------------------------------------------------------------------------

find_postgres() {
    pg_bin=$(find /usr/lib/postgresql -maxdepth 3 -name initdb 2>/dev/null | sort -V | tail -n 1)
    [ -n "$pg_bin" ] || die "no PostgreSQL server below /usr/lib/postgresql"
    pg_bin=${pg_bin%/initdb}
}

start_postgres() {
    local data=$state/postgres port
    port=$(port postgres 15432)
    dsn=postgresql://postrider@127.0.0.1:$port/postrider
    if ! [ -s "$data/PG_VERSION" ]; then
        mkdir -p "$data"
        chmod 700 "$data"
        if [ "$(id -u)" = 0 ]; then
            chown postgres: "$data"
            as_postgres test -w "$data" || die "the user postgres cannot reach $data: choose another POSTRIDER_STATE"
        fi
        as_postgres "$pg_bin/initdb" -D "$data" -A trust -U postrider -E UTF8 --locale=C.UTF-8 \
            >"$state/log/initdb.log" 2>&1 || die "initdb failed, see $state/log/initdb.log"
    fi
    if ! as_postgres "$pg_bin/pg_ctl" -D "$data" status >/dev/null 2>&1; then
        as_postgres "$pg_bin/pg_ctl" -D "$data" -l "$data/server.log" -w -t 180 \
            -o "-p $port -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c max_prepared_transactions=20" \
            start >/dev/null || die "PostgreSQL does not start, see $data/server.log"
    fi
    "$pg_bin/psql" -X -q "${dsn%/postrider}/postgres" -tAc \
        "SELECT 1 FROM pg_database WHERE datname = 'postrider'" | grep -q 1 ||
        "$pg_bin/createdb" -h 127.0.0.1 -p "$port" -U postrider postrider
    say "PostgreSQL   127.0.0.1:$port, data in $data"
}

stop_postgres() {
    find_postgres
    if as_postgres "$pg_bin/pg_ctl" -D "$state/postgres" -m fast -w stop >/dev/null 2>&1; then
        say "stopped PostgreSQL"
    fi
}

# The secret of `partner`, the key ring, and a token of the API as the file's hash and as a header for curl.
make_secrets() (
    umask 077
    if [ ! -s "$state/webhook.secret" ]; then
        printf 'whsec_%s\n' "$(head -c 32 /dev/urandom | base64 -w 0)" >"$state/webhook.secret"
    fi
    if [ ! -s "$state/keys" ]; then "$build/postrider" secrets new-key >"$state/keys"; fi
    if [ ! -s "$state/api.header" ]; then
        token=$(head -c 32 /dev/urandom | base64 -w 0)
        echo "quickstart read,webhooks.write $(printf %s "$token" | sha256sum | cut -d' ' -f1)" >"$state/tokens"
        echo "Authorization: Bearer $token" >"$state/api.header"
    fi
)

write_config() {
    local secret=$state/webhook.secret
    {
        cat <<END
# Written by deploy/quickstart.sh; the next run writes it again.
source:
  dsn: $dsn
destinations:
  - name: screen
    adapter: stdout
  - name: partner
    adapter: webhook
    options:
      url: http://127.0.0.1:$(port receive 18099)/hooks/approvals
      secret_file: $secret
      allow_http: true
      allow_cidrs: 127.0.0.1
  - name: subscribers
    adapter: webhook
    subscriptions: true
    options: {allow_http: true, allow_cidrs: 127.0.0.1}
END
        if wants rabbitmq; then
            cat <<END
  - name: rabbit
    adapter: rabbitmq
    options:
      url: amqp://guest:guest@127.0.0.1:$(port amqp 15682)/
      exchange: ""
      routing_key: approvals
END
        fi
        if wants kafka; then
            cat <<END
  - name: stream
    adapter: kafka
    options:
      bootstrap.servers: 127.0.0.1:$(port kafka 19092)
      topic: approvals
END
        fi
        cat <<END
routes:
  - match: {type: ["REQUEST_*", "TASK_*"]}
    to: [screen, partner, subscribers$(wants rabbitmq && echo ', rabbit')$(wants kafka && echo ', stream')]
webhooks: {key_ring: $state/keys}
api: {listen: "127.0.0.1:$(port api 18080)", token_file: $state/tokens}
ops: {listen: "127.0.0.1:$(port ops 19464)"}
log: {format: human}
adapter_dir: $build/adapters
END
    } >"$state/postrider.yaml"
    chmod 600 "$state/postrider.yaml"
}

start_relay() {
    stop_process "the relay" "$state/relay.pid"
    stop_process "the receiver" "$state/receive.pid"
    stop_process "the subscriber" "$state/subscriber.pid"
    : >"$state/log/received.log"
    : >"$state/log/subscriber.log"
    : >"$state/log/events.jsonl"
    start_process receive "$state/log/received.log" "$build/postrider" receive \
        --listen "127.0.0.1:$(port receive 18099)" --secret-file "$state/webhook.secret"
    wait_for 60 listens "$(port receive 18099)" || die "the receiver does not start, see $state/log/received.log"
    say "receiver     http://127.0.0.1:$(port receive 18099)/, log in $state/log/received.log"
    # Standard output is the destination `screen`, standard error the log.
    setsid "$build/postrider" run -c "$state/postrider.yaml" </dev/null \
        >>"$state/log/events.jsonl" 2>>"$state/log/relay.log" &
    echo $! >"$state/relay.pid"
    wait_for 60 is_ready "$(port ops 19464)" || {
        tail -n 20 "$state/log/relay.log" >&2
        die "the relay is not ready, see $state/log/relay.log"
    }
    say "relay        http://127.0.0.1:$(port ops 19464)/readyz and /metrics, log in $state/log/relay.log"
    say "its API      http://127.0.0.1:$(port api 18080)/, header with a token in $state/api.header"
}

# Everything RabbitMQ has is below one folder, its port mapper included: several nodes can live on one machine.
rabbit_environment() {
    local folder=$state/rabbitmq
    rabbit_env=(
        HOME="$folder/home" RABBITMQ_NODENAME=quickstart@localhost RABBITMQ_CONF_ENV_FILE=/dev/null
        RABBITMQ_MNESIA_BASE="$folder/mnesia" RABBITMQ_LOG_BASE="$folder/log"
        RABBITMQ_CONFIG_FILE="$folder/rabbitmq.conf" RABBITMQ_PID_FILE="$folder/pid"
        RABBITMQ_ENABLED_PLUGINS_FILE="$folder/enabled_plugins" RABBITMQ_DIST_PORT="$(port rabbit-dist 25682)"
        ERL_EPMD_PORT="$(port epmd 14369)" ERL_EPMD_ADDRESS=127.0.0.1
        RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="-kernel inet_dist_use_interface {127,0,0,1}"
        RUNNING_UNDER_SYSTEMD=true # the script becomes the server instead of its parent
    )
}

start_rabbitmq() {
    local folder=$state/rabbitmq
    if ! alive "$folder/pid"; then
        mkdir -p "$folder/home"
        cat >"$folder/rabbitmq.conf" <<END
listeners.tcp.1 = 127.0.0.1:$(port amqp 15682)
management.tcp.ip = 127.0.0.1
management.tcp.port = $(port rabbit-http 15692)
log.console = false
disk_free_limit.absolute = 50MB
END
        echo '[rabbitmq_management].' >"$folder/enabled_plugins"
        rabbit_environment
        env "${rabbit_env[@]}" setsid /usr/lib/rabbitmq/bin/rabbitmq-server </dev/null >"$state/log/rabbitmq.log" 2>&1 &
        wait_for 90 rabbit_api GET overview || die "RabbitMQ does not start, see $state/log/rabbitmq.log"
    fi
    rabbit_api PUT queues/%2F/approvals '{"durable":true}' >/dev/null
    say "RabbitMQ     127.0.0.1:$(port amqp 15682), console http://127.0.0.1:$(port rabbit-http 15692)/ (guest, guest)"
}

rabbit_api() { # METHOD PATH [BODY]
    curl -fsS -u guest:guest -X "$1" -H 'Content-Type: application/json' ${3:+-d "$3"} \
        "http://127.0.0.1:$(port rabbit-http 15692)/api/$2"
}

stop_rabbitmq() {
    stop_process RabbitMQ "$state/rabbitmq/pid"
    # The node leaves its port mapper behind, which ends only once no node is registered.
    rabbit_environment
    wait_for 10 env "${rabbit_env[@]}" epmd -kill || true
}

start_kafka() {
    local folder=$state/kafka lib=$build/kafka-lib broker controller
    broker=$(port kafka 19092)
    controller=$(port kafka-controller 19192)
    if ! alive "$folder/pid"; then
        if [ ! -d "$lib" ]; then
            say "fetching Apache Kafka with Maven"
            mkdir -p "$state/kafka-fetch"
            cp "$root/tests/brokers/pom.xml" "$state/kafka-fetch"
            (cd "$state/kafka-fetch" && mvn -q -B dependency:copy-dependencies -DoutputDirectory="$lib.part") \
                >"$state/log/maven.log" 2>&1 || die "Maven failed, see $state/log/maven.log"
            mv "$lib.part" "$lib"
        fi
        mkdir -p "$folder"
        cat >"$folder/server.properties" <<END
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$controller
listeners=PLAINTEXT://127.0.0.1:$broker,CONTROLLER://127.0.0.1:$controller
advertised.listeners=PLAINTEXT://127.0.0.1:$broker
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs=$folder/data
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
END
        java -Xmx128m -cp "$lib/*" kafka.tools.StorageTool format --ignore-formatted \
            -t postriderQuickstart00 -c "$folder/server.properties" >"$state/log/kafka.log" 2>&1 ||
            die "Kafka cannot format its storage, see $state/log/kafka.log"
        setsid java -Xms256m -Xmx512m -cp "$lib/*" kafka.Kafka "$folder/server.properties" \
            </dev/null >>"$state/log/kafka.log" 2>&1 &
        echo $! >"$folder/pid"
        wait_for 90 kafkacat_ready "$broker" || die "Kafka does not start, see $state/log/kafka.log"
    fi
    say "Kafka        127.0.0.1:$broker (KRaft, one node), log in $state/log/kafka.log"
}
kafkacat_ready() { kcat -L -b "127.0.0.1:$1" -m 2; }

# --- what a user sees -------------------------------------------------------------------------------

api() { # METHOD PATH [BODY]
    curl -fsS -X "$1" -H "@$state/api.header" ${3:+-H 'Content-Type: application/json' -d "$3"} \
        "http://127.0.0.1:$(port api 18080)/webhooks/$2"
}
member() { sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p"; } # NAME: a text of the JSON on standard input

# A subscriber that knows the secret which the API showed it. That of an earlier run is deleted first.
subscribe() {
    local answer address
    address=127.0.0.1:$(port subscriber 18199)
    if [ -s "$state/subscription" ]; then api DELETE "subscriptions/$(cat "$state/subscription")" || true; fi
    answer=$(api POST subscriptions "{\"url\": \"http://$address/\", \"event_types\": [\"REQUEST_*\"]}") ||
        die "no subscription, see $state/log/relay.log"
    member id <<<"$answer" >"$state/subscription"
    (umask 077 && member secret <<<"$answer" >"$state/subscriber.secret")
    start_process subscriber "$state/log/subscriber.log" "$build/postrider" receive \
        --listen "$address" --secret-file "$state/subscriber.secret"
    wait_for 60 listens "${address##*:}" || die "the subscriber does not start, see $state/log/subscriber.log"
    say "POST /webhooks/subscriptions   {\"url\": \"http://$address/\", \"event_types\": [\"REQUEST_*\"]}"
    say "201, $(cat "$state/subscription"); the answer shows the secret, this once"
}

# The subscriber goes on with the old secret; both sign until the overlap has passed.
rotate() {
    local id event
    id=$(cat "$state/subscription")
    api POST "subscriptions/$id/secret/rotate" '{"overlap_seconds": 3600}' >/dev/null || die "the secret was not rotated"
    event=$(sql -tAc "SELECT outbox.publish('REQUEST_SUBMITTED', '$aggregate', '{\"again\": true}', 'request')")
    wait_for 60 grep -q "accepted .* $event" "$state/log/subscriber.log" ||
        die "the event $event did not arrive; $state/log/relay.log may say why"
    grep "$event" "$state/log/subscriber.log" | grep accepted
}

# Each function changes the state of the domain and writes its events in the same transaction.
work_on_a_request() {
    local request task
    request=$(sql -tAc "SELECT approvals.submit_request('New laptops', 'ann')")
    say "ann submits a request          approvals.submit_request('New laptops', 'ann')"
    task=$(sql -tAc "SELECT approvals.assign_task('$request', 'bob')")
    say "it is assigned to bob          approvals.assign_task(…, 'bob')"
    sql -tAc "SELECT approvals.decide_task('$task', 'APPROVED', 'within budget')" >/dev/null
    say "bob approves, it is approved   approvals.decide_task(…, 'APPROVED', 'within budget')"
    sql -c "BEGIN" -c "SELECT approvals.submit_request('Never mind', 'eve')" -c "ROLLBACK" >/dev/null
    say "eve's transaction rolls back   nothing of it may be sent"
    aggregate=$request
    wait_for 60 delivered || {
        tail -n 20 "$state/log/relay.log" >&2
        die "the events did not arrive; $state/log/relay.log may say why"
    }
}
delivered() {
    [ "$(sql -tAc "SELECT count(*) FROM outbox.event_status WHERE aggregate_id = '$aggregate' AND state <> 'PUBLISHED'")" = 0 ] &&
        [ "$(grep -c "$aggregate" "$state/log/events.jsonl")" -ge 4 ] &&
        [ "$(grep -c "accepted" "$state/log/received.log")" -ge 4 ] &&
        [ "$(grep -c "accepted" "$state/log/subscriber.log")" -ge 2 ]
}

show() {
    step "What the destination \`screen\` (adapter stdout) printed: the canonical envelope, one line an event"
    grep "$aggregate" "$state/log/events.jsonl"
    step "What \`postrider receive\` got over HTTP: Standard Webhooks, each signature verified"
    grep -E ' (accepted|duplicate|refused) ' "$state/log/received.log"
    step "What the subscriber got: the types that it asked for, verified with the secret that the API showed"
    grep -E ' (accepted|duplicate|refused) ' "$state/log/subscriber.log"
    step "The last attempt, from GET /webhooks/subscriptions/ID/attempts"
    api GET "subscriptions/$(cat "$state/subscription")/attempts?limit=1" |
        grep -oE '"(event_type|number|status|started_at|total_ms|remote|http_status)":[^,}]*' | sed 's/^/  /'
    if wants rabbitmq; then
        step "What waits in RabbitMQ's queue approvals"
        rabbit_api POST queues/%2F/approvals/get '{"count":100,"ackmode":"ack_requeue_true","encoding":"auto"}' |
            grep -o '"payload":"[^}]*' | grep -c "$aggregate" | sed 's/$/ messages of this request/'
    fi
    if wants kafka; then
        step "What Kafka's topic approvals holds"
        kcat -C -q -e -b "127.0.0.1:$(port kafka 19092)" -t approvals -f '%k  %h\n' | grep "$aggregate"
    fi
    step "Delivered, according to the database (outbox.event_status): PUBLISHED is accepted, or wanted by nobody"
    sql -c "SELECT destination, type, state FROM outbox.event_status WHERE aggregate_id = '$aggregate' ORDER BY destination, seq"
    step "The subscriber's secret is rotated; the next event verifies with the old one, since both sign for an hour"
    rotate
}

next_steps() {
    local ops
    ops=127.0.0.1:$(port ops 19464)
    step "It keeps running. Try next:"
    cat <<END
  $pg_bin/psql $dsn -c "SELECT outbox.publish('REQUEST_SUBMITTED', 'R-1', '{\"by\": \"me\"}', 'request')"
  tail -f $state/log/events.jsonl
  $build/postrider status -c $state/postrider.yaml
  curl -H @$state/api.header http://127.0.0.1:$(port api 18080)/webhooks/subscriptions
  http://$ops/metrics and http://$ops/readyz, in a browser or with curl
  deploy/quickstart.sh                             once more
  deploy/quickstart.sh --down                      stops everything and removes $state
END
}

down() {
    step "Stopping"
    if [ ! -e "$marker" ]; then
        say "nothing is there ($state)"
        return 0
    fi
    stop_process "the relay" "$state/relay.pid"
    stop_process "the receiver" "$state/receive.pid"
    stop_process "the subscriber" "$state/subscriber.pid"
    stop_process Kafka "$state/kafka/pid"
    if [ -d "$state/rabbitmq" ]; then stop_rabbitmq; fi
    if [ -d "$state/postgres" ]; then stop_postgres; fi
    rm -rf "$state"
    say "removed $state; the build stays in $build"
}

up() {
    local groups=(build postgres quickstart) log=$build.log
    if wants rabbitmq; then groups+=(rabbitmq); fi
    if wants kafka; then groups+=(kafka); fi
    step "1/6  Packages"
    "$root/deploy/install-deps.sh" "${groups[@]}"
    say "all there"

    step "2/6  Build, in $build"
    mkdir -p "$build"
    if ! { cmake -S "$root" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo -DPOSTRIDER_TESTS=OFF &&
        ninja -C "$build"; } >"$log" 2>&1; then
        tail -n 40 "$log" >&2
        die "the build failed, see $log"
    fi
    say "$("$build/postrider" version | head -n 1)"

    step "3/6  Servers, in $state"
    if [ ! -e "$marker" ] && [ -n "$(ls -A "$state" 2>/dev/null)" ]; then
        die "$state has other things in it: choose another POSTRIDER_STATE"
    fi
    mkdir -p "$state/log"
    : >"$marker"
    find_postgres
    start_postgres
    if wants rabbitmq; then start_rabbitmq; fi
    if wants kafka; then start_kafka; fi
    make_secrets
    write_config
    "$build/postrider" migrate -c "$state/postrider.yaml" 2>&1 | sed 's/^/  /'
    sql -1 -f "$root/config/approvals/approvals.sql" 2>&1 | grep -v NOTICE || true
    start_relay

    step "4/6  A subscriber registers its URL, over the HTTP API"
    subscribe

    step "5/6  A request is submitted and approved, in SQL"
    work_on_a_request

    step "6/6  What arrived"
    show
    next_steps
}

with=,
while [ $# -gt 0 ]; do
    case $1 in
    --down)
        down
        exit
        ;;
    --with)
        [ $# -ge 2 ] || { usage >&2; exit 64; }
        with=,$2,
        shift
        ;;
    -h | --help)
        usage
        exit
        ;;
    *)
        usage >&2
        exit 64
        ;;
    esac
    shift
done
for part in ${with//,/ }; do
    case $part in
    rabbitmq | kafka) ;;
    *) die "--with knows rabbitmq and kafka, not $part" ;;
    esac
done
up
