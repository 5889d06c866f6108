#!/bin/sh
# Starts wochat in a container: start.sh serve, start.sh config, start.sh doctor ...
#
# A secret may come as a file, as container engines mount them: of WOCHAT_DATABASE_URL, WOCHAT_REDIS_URL and
# WOCHAT_SMS_WEBHOOK_SECRET each may be set by a variable with _FILE behind its name.
set -eu

read_secret() {
    eval "file=\${$1_FILE:-}"
    eval "value=\${$1:-}"
    [ -n "$file" ] || return 0
    if [ -n "$value" ]; then
        echo "wochat: $1 and $1_FILE are both set" >&2
        exit 1
    fi
    if [ ! -r "$file" ]; then
        echo "wochat: $1_FILE $file cannot be read" >&2
        exit 1
    fi
    value=$(cat "$file")
    export "$1=$value"
    unset "$1_FILE"
}

read_secret WOCHAT_DATABASE_URL
read_secret WOCHAT_REDIS_URL
read_secret WOCHAT_SMS_WEBHOOK_SECRET

# exec: the signals of the container engine reach the server itself.
exec node "$(dirname "$0")/../../main.ts" "$@"
