#!/bin/sh
# Runs in the pods of MySQL (start) and of its backups (backup, prove, restore [NAME], list); see mysql.py. The image
# brings the server's own programs and a few others of any Linux.
set -eu
umask 077

run=/run/mysqld
backups=/backup
# What fails before the data were touched ends with 3, which `./slipway restore` relies on.
changed=no
# Safe between quotes: in SQL and in an option file alike.
password() {
    sed "s/[\\\\'\"]/\\\\&/g" "$PASSWORD_DIR/$1"
}
serving_password=$(password mysql-password)
# Who may do everything with the database: the account of migrations, or that of the services where there is no other.
owner=$MYSQL_USER
owner_password=$serving_password
if [ -n "${MYSQL_MIGRATION_USER:-}" ]; then
    owner=$MYSQL_MIGRATION_USER
    owner_password=$(password mysql-migration-password)
fi

write_login() {
    printf '[client]\nuser = %s\npassword = "%s"\n%s\n' "$owner" "$owner_password" "$1" >"$run/login.cnf"
}

# --- the server

start() {
    data=/var/lib/mysql/data
    if [ ! -d "$data" ]; then
        echo "setting up an empty volume"
        # Under another name until it is whole: what was interrupted begins anew.
        rm -rf "$data.new"
        set_up "$data.new"
        mv "$data.new" "$data"
    fi
    # What big sorts write belongs on the volume; what is left there is of a server that is gone.
    rm -rf /var/lib/mysql/tmp
    mkdir /var/lib/mysql/tmp
    # In a grant _ stands for any character.
    pattern=$(printf %s "$MYSQL_DATABASE" | sed 's/_/\\_/g')
    accounts >"$run/init.sql"
    write_login "socket = $run/mysqld.sock"
    exec mysqld --defaults-file=/etc/slipway/my.cnf --init-file="$run/init.sql"
}

# The server takes one statement a line.
accounts() {
    cat <<END
CREATE DATABASE IF NOT EXISTS \`$MYSQL_DATABASE\`;
CREATE USER IF NOT EXISTS '$owner'@'%';
ALTER USER '$owner'@'%' IDENTIFIED BY '$owner_password';
GRANT ALL ON \`$pattern\`.* TO '$owner'@'%';
GRANT ALL ON \`$pattern\\_proof\`.* TO '$owner'@'%';
ALTER USER IF EXISTS 'root'@'localhost' ACCOUNT LOCK;
END
    [ "$owner" != "$MYSQL_USER" ] || return 0
    # On a volume from before it has all rights. PROCESS: to see what the services' connections wait for.
    cat <<END
GRANT PROCESS ON *.* TO '$owner'@'%';
CREATE USER IF NOT EXISTS '$MYSQL_USER'@'%';
ALTER USER '$MYSQL_USER'@'%' IDENTIFIED BY '$serving_password';
REVOKE ALL PRIVILEGES, GRANT OPTION FROM '$MYSQL_USER'@'%';
GRANT SELECT, INSERT, UPDATE, DELETE ON \`$pattern\`.* TO '$MYSQL_USER'@'%';
END
}

set_up() {
    if command -v mariadb-install-db >/dev/null; then
        mariadb-install-db --no-defaults --datadir="$1" --skip-test-db --auth-root-authentication-method=socket
    else
        mysqld --no-defaults --initialize-insecure --datadir="$1"
    fi
}

# --- backups: NAME.sql.gz, and the checksum of the text in it as NAME.sha256

keep() {
    checksum "$work/dump" >"$work/sum"
    gzip -c "$work/dump" >"$work/dump.gz"
    mv "$work/sum" "$backups/$1.sha256"
    # With this name it is whole.
    mv "$work/dump.gz" "$backups/$1.sql.gz"
    echo "backup $1"
    echo "sha256 $(cat "$backups/$1.sha256")"
    rows_in_dump "$work/dump" | sed 's/^/rows   /'
}

forget() {
    list | head -n "-$KEEP" | while read -r old; do
        rm -f "$backups/$old.sql.gz" "$backups/$old.sha256"
        echo "forgot $old"
    done
}

# Names, the oldest first.
list() {
    for file in "$backups"/*.sql.gz; do
        [ ! -e "$file" ] || basename "$file" .sql.gz
    done
}

# Returns the code of mysqldump; 5, as it does, if the text cannot be written. The same data gives the same text, byte by byte, each row on a line of its own.
dump() {
    code=0
    mysqldump --defaults-file="$run/login.cnf" --single-transaction --order-by-primary --skip-extended-insert \
        --no-autocommit --hex-blob --routines --events --triggers --no-tablespaces --skip-comments \
        "$@" "$MYSQL_DATABASE" >"$work/all" || code=$?
    without_definers "$work/all" || code=5
    return "$code"
}

# Views, triggers and routines will be those of the account that restores them: it may make none for another.
without_definers() {
    # shellcheck disable=SC2016 # these quotes are MySQL's
    sed '/^INSERT INTO /!s/DEFINER=`[^`]*`@`[^`]*`//' "$1"
}

checksum() {
    sha256sum <"$1" | cut -d ' ' -f 1
}

rows_in_dump() {
    # shellcheck disable=SC2016 # these quotes are MySQL's
    sed -n 's/^INSERT INTO `\([^`]*\)` .*/\1/p' "$1" | sort | uniq -c | while read -r count table; do
        echo "$table $count"
    done
}

rows_in_database() {
    query "SELECT table_name FROM information_schema.tables
        WHERE table_schema = DATABASE() AND table_type = 'BASE TABLE'" | sort | while read -r table; do
        count=$(query "SELECT COUNT(*) FROM \`$table\`")
        [ "$count" = 0 ] || echo "$table $count"
    done
}

query() {
    mysql --defaults-file="$run/login.cnf" --batch --skip-column-names --execute="$1" "$MYSQL_DATABASE"
}

restore() {
    if [ ! -e "$backups/$1.sql.gz" ]; then
        echo "there is no backup ${1:-at all}; there are: $(list | tr '\n' ' ')" >&2
        exit 1
    fi
    wanted=$(cat "$backups/$1.sha256")
    gzip -dc "$backups/$1.sql.gz" >"$work/kept"
    if [ "$(checksum "$work/kept")" != "$wanted" ]; then
        echo "backup $1 is damaged: the checksum of its content is not $wanted; nothing was changed" >&2
        exit 1
    fi
    # Dumps of an earlier version of this script have them.
    without_definers "$work/kept" >"$work/wanted"
    wanted=$(checksum "$work/wanted")
    echo "first, what is there now:"
    # A database may well need a restore because not all of it can be read any more.
    code=0
    dump --force >"$work/dump" || code=$?
    case $code in
    0) ;;
    2 | 3 | 6) echo "(the rest cannot be read)" >&2 ;;
    *)
        echo "what is there now cannot be kept (mysqldump ends with $code): is the volume of the backups full?" >&2
        exit 1
        ;;
    esac
    keep "$now-before-restore"
    echo "restoring $1"
    changed=yes
    query "DROP DATABASE \`$MYSQL_DATABASE\`; CREATE DATABASE \`$MYSQL_DATABASE\`"
    mysql --defaults-file="$run/login.cnf" "$MYSQL_DATABASE" <"$work/wanted"
    prove "$1" "$wanted"
}

# Into a second database beside the one that serves, which is not touched.
prove_backup() {
    second=${MYSQL_DATABASE}_proof
    wanted=$(cat "$backups/$1.sha256")
    gzip -dc "$backups/$1.sql.gz" >"$work/wanted"
    if [ "$(checksum "$work/wanted")" != "$wanted" ]; then
        echo "backup $1 is damaged: the checksum of its content is not $wanted" >&2
        exit 1
    fi
    query "DROP DATABASE IF EXISTS \`$second\`; CREATE DATABASE \`$second\`"
    proof=$second
    MYSQL_DATABASE=$second
    mysql --defaults-file="$run/login.cnf" "$MYSQL_DATABASE" <"$work/wanted"
    prove "$1" "$wanted"
}

# What was restored is dumped again: it has to be the same text.
prove() {
    dump >"$work/found"
    found=$(checksum "$work/found")
    rows=$(rows_in_database)
    echo "sha256 $found"
    echo "$rows" | sed 's/^/rows   /'
    if [ "$found" != "$2" ] || [ "$rows" != "$(rows_in_dump "$work/wanted")" ]; then
        echo "the database is not what backup $1 holds: that has sha256 $2 and these rows:" >&2
        rows_in_dump "$work/wanted" >&2
        exit 1
    fi
    echo "restored $1: same rows, same checksum"
}

# A folder for this run, beside those that somebody killed left behind.
prepare_work() {
    work=$(mktemp -d "$backups/.work-XXXXXX")
    trap finish EXIT
    # Not every shell calls the other trap when it is stopped; and a first process ignores what it does not handle.
    trap 'exit 143' TERM INT
    touch -d '2 hours ago' "$work/old"
    for left in "$backups"/.work-*; do
        [ ! "$left" -ot "$work/old" ] || rm -rf "$left"
    done
}

finish() {
    code=$?
    rm -rf "$work"
    [ -z "$proof" ] || query "DROP DATABASE IF EXISTS \`$proof\`" || echo "database $proof is left: drop it" >&2
    [ "$code" = 0 ] || [ "$changed" = yes ] || exit 3
}

now=$(date -u +%Y%m%dT%H%M%SZ)
# The second database while there is one.
proof=
case $1 in
start)
    start
    ;;
backup)
    write_login "host = $MYSQL_HOST"
    prepare_work
    dump >"$work/dump"
    keep "$now"
    forget
    ;;
prove)
    write_login "host = $MYSQL_HOST"
    prepare_work
    dump >"$work/dump"
    keep "$now"
    prove_backup "$now"
    forget
    ;;
restore)
    write_login "host = $MYSQL_HOST"
    prepare_work
    restore "${2:-$(list | sed '/before-restore$/d' | tail -n 1)}"
    ;;
list)
    list
    ;;
*)
    echo "mysql.sh of this release does not know $1" >&2
    exit 3
    ;;
esac
