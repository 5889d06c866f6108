#!/bin/sh
# Before a container stops: sends the clients of this node elsewhere, step by step, and waits until they are gone.
# A drain that fails must not keep the node from stopping: clients of a node that stops reconnect by themselves.
set -u
timeout "${DRAIN_TIMEOUT_SECONDS:-900}" \
    "$(dirname "$0")/start.sh" admin drain "$WOCHAT_NODE_NAME" --wait --url "http://127.0.0.1:${WOCHAT_ADMIN_PORT:-9090}" ||
    echo "wochat: the node was not drained; it stops with its connections" >&2
