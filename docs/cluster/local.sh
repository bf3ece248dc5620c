#!/usr/bin/env bash
# A Ray cluster of three nodes on one machine, to try a command before it goes to a real one:
#   docs/cluster/local.sh convbench run minilm-history -d topiocqa --out runs/on-ray --engine ray
# The command gets RAY_ADDRESS. The nodes are separate processes on loopback addresses, and end with it.
set -euo pipefail
[ $# -gt 0 ] || { echo "usage: $0 COMMAND..." >&2; exit 2; }

cpus=${CPUS_PER_NODE:-1}
port=${RAY_PORT:-26379}
folder=$(mktemp -d /tmp/ray-XXXXXX) # a short name: sockets lie in it
sessions=()

stop() {
    for session in "${sessions[@]}"; do pkill -KILL --session "$session" || true; done
    rm -rf "$folder"
}
trap stop EXIT

start() { # every node is a session of its own, so that nothing else is stopped with it
    setsid "${RAY:-ray}" start "$@" --disable-usage-stats --object-store-memory=200000000 --min-worker-port=0 --max-worker-port=0 \
        < /dev/null > "$folder/start.log" 2>&1 &
    local started=$!
    sessions+=("$started")
    wait "$started" || { cat "$folder/start.log" >&2; exit 1; }
}

start --head --node-ip-address=127.0.0.2 --port="$port" --num-cpus=0 --include-dashboard=false --temp-dir="$folder" \
    --ray-client-server-port=$((port + 1)) --dashboard-agent-listen-port=$((port + 2))
for node in 3 4; do
    start --address="127.0.0.2:$port" --node-ip-address="127.0.0.$node" --num-cpus="$cpus" --dashboard-agent-listen-port=$((port + node))
done
RAY_ADDRESS="127.0.0.2:$port" "$@"
