#!/bin/sh
# Makes the passwords of PostgreSQL and Redis in deploy/compose/secrets, once; an existing file is never changed.
# certificate.pem (chain and key in one file) is yours to put there.
set -eu
umask 077
folder=$(dirname "$0")/secrets
mkdir -p "$folder"
if [ -e "$folder/database_password" ]; then
    echo "$folder has its secrets already" >&2
    exit 1
fi
database=$(openssl rand -hex 24)
redis=$(openssl rand -hex 24)
printf '%s' "$database" > "$folder/database_password"
printf 'postgres://wochat:%s@postgres:5432/wochat' "$database" > "$folder/database_url"
printf 'redis://:%s@redis:6379' "$redis" > "$folder/redis_url"
printf 'requirepass %s\n' "$redis" > "$folder/redis.conf"
# The nodes run as user 1000 in their containers and Redis as 999; on the machine only who enters the folder reads them.
chmod 644 "$folder"/*
