#!/bin/sh
# Runs in the pod of Redis; see redis.py.
set -eu
umask 077

password=$(cat "$PASSWORD_DIR/redis-password")

start() {
    # As a hash: an ACL file has no quotes for a password with a space in it. Nobody needs to administer this server.
    hash=$(printf %s "$password" | sha256sum | cut -d ' ' -f 1)
    echo "user default on #$hash ~* &* +@all -@admin -@dangerous +info" >/run/redis/users.acl
    exec redis-server /etc/slipway/redis.conf
}

# Only an answer counts: one that is still loading its data says so instead.
ping() {
    [ "$(REDISCLI_AUTH=$password redis-cli ping)" = PONG ]
}

"$1"
