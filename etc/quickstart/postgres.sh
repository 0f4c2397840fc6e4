# shellcheck shell=bash
# etc/quickstart/postgres.sh: the embedded PostgreSQL of ./quickstart, which sources this and has fail, note and alone
#
# PG_KIND says where its programs come from:
#   machine    this machine's packages; the data is in SHARED/postgresql
#   unpacked   a minimal Debian 13 in DIR/debian (this machine's own packages have no pgvector); PostgreSQL
#              sees that folder as its root, with its data in /srv/data
# It never runs as root: started by root it runs as postgres, or as a number nobody uses where there is no postgres.

# The newest PostgreSQL of this machine that has pgvector, or fails.
installed_postgres() { # vector|any
    local folder version
    for folder in $(printf '%s\n' /usr/lib/postgresql/*/bin | sort -rV); do
        version=$(basename "$(dirname "$folder")")
        [ -x "$folder/initdb" ] || continue
        [ "$1" = any ] || [ -e "/usr/share/postgresql/$version/extension/vector.control" ] || continue
        echo "$version"
        return
    done
    return 1
}

offered_postgres() {
    apt-cache search --names-only '^postgresql-[0-9]+-pgvector$' | sed -n 's/^postgresql-\([0-9]*\)-pgvector .*/\1/p' |
        sort -rn | head -n 1 | grep .
}

data_folder() {
    if [ "$PG_KIND" = unpacked ]; then echo "$DIR/debian/srv/data"; else echo "$SHARED/postgresql/data"; fi
}

postgres_log() { echo "$(dirname "$(data_folder)")/postgresql.log"; }

choose_postgres() {
    [ -z "$PG_KIND" ] || return 0
    if installed_postgres vector >/dev/null; then
        PG_KIND=machine
    elif can_unpack; then
        PG_KIND=unpacked
    elif installed_postgres any >/dev/null; then
        PG_KIND=machine
    else
        fail 'there is no PostgreSQL here, and none can be unpacked' \
            'install postgresql and its pgvector package, or mmdebstrap'
    fi
    PG_UID=$(id -u) PG_GID=$(id -g)
    if is_root; then
        PG_UID=$(id -u postgres 2>/dev/null || unused_uid)
        PG_GID=$(id -g postgres 2>/dev/null || echo "$PG_UID")
    fi
}

can_unpack() {
    command -v mmdebstrap >/dev/null && { is_root || unshare --user --map-root-user --mount true; }
}

unused_uid() { # below the range in which systemd makes up users
    local uid=61100
    while getent passwd "$uid" >/dev/null; do uid=$((uid + 1)); done
    echo "$uid"
}

# Debian's mirror as this machine's apt knows it.
mirror() {
    local uri
    # shellcheck disable=SC2016 # $(…) is apt's own notation
    uri=$(apt-get indextargets --format '$(ORIGIN)|$(LABEL)|$(REPO_URI)' 2>/dev/null | sed -n 's/^Debian|Debian|//p' | head -n 1)
    echo "${uri:-http://deb.debian.org/debian/}"
}

# Only extracted: PostgreSQL needs none of what the packages' scripts would set up, and so an ordinary user can
# do it as well.
unpack() {
    local from pid tried=''
    local include=base-files,dash,libc-bin,tzdata,postgresql-17,postgresql-17-pgvector
    [ "$PG_KIND" = unpacked ] && [ ! -e "$DIR/debian/.complete" ] || return 0
    if pid=$(pid_of_postgres); then end_process "$pid" INT 30; fi
    # Without .complete it is made again, as for a new minor release, and data that is there is kept.
    if [ -d "$DIR/debian/srv/data" ]; then mv "$DIR/debian/srv" "$DIR/debian.srv"; fi
    local mode=root
    is_root || mode=chrootless
    for from in "$(mirror)" http://deb.debian.org/debian/; do
        [ "$from" != "$tried" ] || continue
        tried=$from
        rm -rf -- "$DIR/debian"
        if alone mmdebstrap --mode=$mode --variant=extract --include="$include" --aptopt='APT::Install-Recommends "false"' \
            trixie "$DIR/debian" "$from"; then
            complete_root
            return
        fi
    done
    fail 'Debian 13 with PostgreSQL and pgvector could not be unpacked' \
        'check the network and the mirror in /etc/apt; on an old Debian 12: apt-get install debian-archive-keyring'
}

complete_root() {
    local root=$DIR/debian
    mkdir -p "$root/srv" "$root/tmp" "$root/dev"
    if [ -d "$DIR/debian.srv" ]; then
        rmdir "$root/srv"
        mv "$DIR/debian.srv" "$root/srv"
    fi
    chmod 0755 "$root"
    chmod 1777 "$root/tmp"
    printf 'root:x:0:0::/:/bin/sh\npostgres:x:%s:%s::/srv:/bin/sh\n' "$PG_UID" "$PG_GID" >"$root/etc/passwd"
    printf 'root:x:0:\npostgres:x:%s:\n' "$PG_GID" >"$root/etc/group"
    # Compiling queries is for long ones; without it 180 MB less.
    rm -rf -- "$root"/usr/share/{doc,man,locale,info} "$root"/usr/lib/*/libLLVM* "$root"/usr/lib/postgresql/17/lib/{llvmjit*,bitcode}
    ln -sf /usr/share/zoneinfo/Etc/UTC "$root/etc/localtime"
    touch "$root/.complete"
}

# Runs a program of PostgreSQL as its user and, if unpacked, in its root. /dev is mounted in a name space of the
# process, which leaves nothing behind to be unmounted.
postgres_program() { # NAME ARGUMENTS…
    # shellcheck disable=SC2016 # expanded by the shell that it is given to
    local program=$1 mount_dev='mount --rbind /dev "$0/dev" && exec "$@"'
    shift
    if [ "$PG_KIND" = machine ]; then
        set -- "/usr/lib/postgresql/$(machine_postgres)/bin/$program" "$@"
        if is_root; then set -- setpriv --reuid=postgres --regid=postgres --init-groups -- "$@"; fi
        alone env -i LC_ALL=C.UTF-8 PATH="$PATH" "$@"
        return
    fi
    set -- "/usr/lib/postgresql/17/bin/$program" "$@"
    if ! is_root; then
        set -- unshare --user --map-user="$PG_UID" --map-group="$PG_GID" --root="$DIR/debian" --wd=/srv "$@"
        set -- unshare --user --map-root-user --mount sh -c "$mount_dev" "$DIR/debian" "$@"
    else
        set -- chroot --userspec="$PG_UID:$PG_GID" "$DIR/debian" "$@"
        # a container may allow no mounts: then the nodes that mmdebstrap made in dev have to do
        if unshare --mount true 2>/dev/null; then set -- unshare --mount sh -c "$mount_dev" "$DIR/debian" "$@"; fi
    fi
    alone env -i LC_ALL=C.UTF-8 PATH="$PATH" "$@"
}

machine_postgres() { # the version the data was made with, or the best there is
    cat "$(data_folder)/PG_VERSION" 2>/dev/null || installed_postgres vector || installed_postgres any
}

in_postgres() { # a path as PostgreSQL sees it
    if [ "$PG_KIND" = unpacked ]; then echo "${1#"$DIR/debian"}"; else echo "$1"; fi
}

create_cluster() {
    local data parent
    data=$(data_folder)
    parent=$(dirname "$data")
    [ ! -e "$data/PG_VERSION" ] || return 0
    rm -rf -- "$data" # of an initdb that was interrupted
    mkdir -p "$parent"
    is_root && chown "$PG_UID:$PG_GID" "$parent"
    (umask 077 && echo "$SUPERUSER_PASSWORD" >"$parent/password")
    is_root && chown "$PG_UID:$PG_GID" "$parent/password"
    postgres_program initdb -D "$(in_postgres "$data")" -U postgres --pwfile="$(in_postgres "$parent/password")" \
        --auth=scram-sha-256 --encoding=UTF8 --locale=C.UTF-8 --no-instructions ||
        fail 'initdb could not make a database cluster' 'read the lines below'
    rm -f -- "$parent/password"
    cat >>"$data/postgresql.conf" <<'EOF'

# quickstart: a small server for one developer; the port is given on the command line
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
password_encryption = scram-sha-256
max_connections = 60
shared_buffers = 64MB
maintenance_work_mem = 64MB
jit = off
min_wal_size = 80MB
max_wal_size = 512MB
log_line_prefix = '%m [%p] %q%u@%d '
log_min_duration_statement = 2000
EOF
}

start_postgres() {
    local tries data
    data=$(data_folder)
    create_cluster
    if pid_of_postgres >/dev/null; then return; fi
    discard_foreign_pid "$data/postmaster.pid"
    for ((tries = 0; tries < 5; tries++)); do
        if [ -z "$PG_PORT" ] || ! port_is_free "$PG_PORT"; then PG_PORT=$(first_free_port 25432); fi
        save_state
        if postgres_program pg_ctl -D "$(in_postgres "$data")" -l "$(in_postgres "$(postgres_log)")" -w -t 60 -s \
            -o "-p $PG_PORT" start; then
            return
        fi
        sleep 1 # what a killed server left behind takes a moment to end
    done
    tail -n 10 "$(postgres_log)"
    fail 'PostgreSQL does not start' "read $(postgres_log)"
}

# A number in a pid file that is now some other program's would keep PostgreSQL from starting.
discard_foreign_pid() { # FILE, of a server that does not run
    local pid
    pid=$(head -n 1 "$1" 2>/dev/null) || return 0
    if [ -n "$pid" ] && [ -d "/proc/$pid" ]; then rm -f -- "$1"; fi
}

provide_postgres() {
    choose_postgres
    save_state
    unpack
    start_postgres
    if [ "$PG_KIND" = machine ] && ! installed_postgres vector >/dev/null; then
        note "This PostgreSQL has no pgvector, so nothing that compares embeddings will work here."
    fi
}

database_url() { # USER PASSWORD DATABASE
    echo "postgresql://$1:$2@127.0.0.1:$PG_PORT/$3"
}

superuser_sql() { # DATABASE, the SQL comes from standard input
    psql -XqAt -v ON_ERROR_STOP=1 -d "$(database_url postgres "$SUPERUSER_PASSWORD" "$1")" -f -
}
