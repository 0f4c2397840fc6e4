#!/usr/bin/env bash
# t/shell/quickstart.sh: ./quickstart as people use it: first run, again, after a crash, two at once, stop and reset
#
# The sources are copied as a clone has them. As root the second stack belongs to an ordinary user, and a third lies in
# a folder that is closed to www-data.
set -euo pipefail
cd "${TENON_SRC:?}"
. t/lib/tap.sh
PATH=$PATH:/usr/sbin
for variable in "${!TENON_@}"; do unset "$variable"; done
top=$(mktemp -d)
chmod 0755 "$top"
clone=$top/clone

end() {
    local stack
    for stack in "$top"/*/state "$top"/*/*/state; do
        [ ! -e "$stack" ] || "$clone/quickstart" --reset --stop --yes --dir "$(dirname "$stack")" >/dev/null 2>&1 || true
    done
    rm -rf -- "$top"
}
trap end EXIT

free_port() {
    local port=$((15000 + RANDOM % 5000))
    while (exec 5<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do port=$((port + 1)); done
    echo "$port"
}

# A copy of what git would clone.
mkdir "$clone"
if git -c safe.directory='*' rev-parse --git-dir >/dev/null 2>&1; then
    git -c safe.directory='*' ls-files -z -co --exclude-standard
else
    find . -type f ! -path './var/*' ! -path './node_modules/*' -print0
fi | while IFS= read -r -d '' file; do [ ! -e "$file" ] || printf '%s\0' "$file"; done | tar --null --no-recursion -T - -cf - | tar -C "$clone" -xf -
(cd "$clone" && find . -type f | sort) >"$top/files"

dir=$top/first port=$(free_port)
quickstart() { "$clone/quickstart" --dir "$dir" "$@" </dev/null; }
value() { sed -n "s/^$1=//p" "${2:-$dir}/tenon.env"; }
get() { curl -sS --max-time 10 "http://127.0.0.1:$port$1" "${@:2}"; }
pid_of() { quickstart --status | awk -v part="$1" '$1 == part { print $4 }'; }
seconds() { # COMMAND…: how long it takes; its output goes to $top/output
    local begun=$EPOCHREALTIME
    "$@" >"$top/output" 2>&1 || cat "$top/output" >&2
    echo $(((${EPOCHREALTIME/[.,]/} - ${begun/[.,]/}) / 1000000))
}

like 'help says what there is' "$(quickstart --help)" '--no-install'
for wrong in --prot '--port=x' '--port=70000' '--dir='; do
    code=0
    "$clone/quickstart" "$wrong" >/dev/null 2>&1 || code=$?
    is "$wrong is refused" "$code" 2
done
mkdir "$top/other" && touch "$top/other/file"
ok 'a folder with other things in it is refused' bash -c "! '$clone/quickstart' --dir '$top/other' --no-install"
is 'the status of no stack is a failure' "$(quickstart --status >/dev/null && echo 0 || echo 1)" 1

# The first run.
first=$(seconds quickstart --port "$port" --yes)
cp "$top/output" "$top/printed"
echo "# the first run took $first s"
ok "the first run takes less than 240 s" test "$first" -lt 240
like 'it prints the URL' "$(cat "$top/printed")" "http://127.0.0.1:$port"
for name in TENON_ANON_KEY TENON_SERVICE_KEY TENON_PLATFORM_KEY; do
    like "it prints $name" "$(cat "$top/printed")" "$(value $name)"
done
is 'tenon.env is for its owner only' "$(stat -c %a "$dir/tenon.env")" 600
is 'tenon.env has what is promised and nothing else' "$(cut -d= -f1 "$dir/tenon.env" | xargs)" \
    'TENON_URL TENON_TENANT_ID TENON_ANON_KEY TENON_SERVICE_KEY TENON_PLATFORM_KEY TENON_JWT_SECRET TENON_DB_URL TENON_CONF'
# shellcheck disable=SC2016 # expanded by the shell that reads the file
is 'a shell can source it' "$(bash -c '. "$1"; echo "$TENON_URL"' - "$dir/tenon.env")" "http://127.0.0.1:$port"
(cd "$clone" && find . -type f ! -path './var/*' | sort) >"$top/files.after"
ok 'the clone is as clean as before' diff "$top/files" "$top/files.after"

# The three lines, pasted.
grep '^curl ' "$top/printed" >"$top/lines"
is 'it prints three lines to paste' "$(wc -l <"$top/lines")" 3
pasted=$(bash "$top/lines" || true)
like 'the first signs up' "$pasted" '"access_token"'
like 'the last reads the chat back, with question and reply' "$(tail -n 1 "$top/lines" | bash)" 'Hello!.*Hello!'
like 'they work a second time' "$(bash "$top/lines" | tail -n 1)" 'Hello!.*Hello!'

# The database.
database=$(value TENON_DB_URL)
is 'psql acts in the first tenant' "$(psql -XqAt "$database" -c 'select tenon.tenant_id()')" "$(value TENON_TENANT_ID)"
is 'the first tenant is the default one' "$(psql -XqAt "$database" -c 'select name from tenon.tenants')" default
ok 'pgcrypto is there' psql -Xq "$database" -c "select crypt('a', gen_salt('bf', 4))"
ok 'pgvector is there' psql -Xq "$database" -c "select '[1,2]'::vector <-> '[2,1]'"
ok 'the owner makes a table' psql -Xq "$database" -c 'create table todos (id bigint generated always as identity, task text)'
is 'PostgreSQL does not run as root' "$(test "$(stat -c %u "/proc/$(pid_of postgres)")" -eq 0 && echo yes || echo no)" no

# Files: nginx spools what is uploaded to where the workers keep it.
storage=$(sed -n '/^\[storage\]/,/^\[/s/^dir = //p' "$dir/tenon.conf")
is 'the folder of files is the workers'"'"' own' "$(stat -c '%U %a' "$storage")" \
    "$(stat -c %U "$(sed -n 's/^file = //p' "$dir/tenon.conf")") 750"
is '… and nginx'"'"'s spool in it too' "$(stat -c %U "$storage/spool")" "$(stat -c %U "$storage")"

secret=$(value TENON_SERVICE_KEY)
post() { get "$1" -X POST -H "apikey: $secret" -H "content-type: $2" --data-binary "$3"; }
post /storage/v1/bucket application/json '{"id":"files","name":"files"}' >/dev/null
like 'a file is taken' "$(post /storage/v1/object/files/a.txt text/plain 'Hello, file!')" '"Key": *"files/a.txt"'
is '… and given back' "$(get /storage/v1/object/files/a.txt -H "apikey: $secret")" 'Hello, file!'
ok 'rows and bytes agree' "$dir/bin/tenon" storage fsck --verify -c "$dir/tenon.conf"

# Sockets that listen, as the kernel has them: state 0A; 0100007F is 127.0.0.1.
listening() { # PORT: the addresses
    awk -v port="$(printf ':%04X' "$1")" '$4 == "0A" && substr($2, length($2) - 4) == port { print $2 }' /proc/net/tcp /proc/net/tcp6
}
is 'nginx listens on the loopback address' "$(listening "$port")" "0100007F:$(printf %04X "$port")"
pg_port=$(sed -n 's/^PG_PORT=//p' "$dir/state")
is 'PostgreSQL listens on the loopback address' "$(listening "$pg_port")" "0100007F:$(printf %04X "$pg_port")"
like 'metrics are on an address of their own' "$(curl -sS "http://127.0.0.1:$(sed -n 's/^METRICS_PORT=//p' "$dir/state")/metrics")" '^# TYPE '

# Again.
before=$(cat "$dir/tenon.env") master=$(pid_of tenon)
again=$(seconds quickstart)
echo "# the second run took $again s"
ok 'the second run takes less than 10 s' test "$again" -lt 10
is 'it keeps the keys' "$(cat "$dir/tenon.env")" "$before"
is 'it leaves the workers alone' "$(pid_of tenon)" "$master"

# Settings from the environment, and by hand.
setting() { sed -n "/^\[$1\]/,/^\[[^]]*\]/s/^$2 *= *//p" "$dir/tenon.conf"; }
# shellcheck disable=SC1091 # made by the first run
(set -a && . "$dir/tenon.env" && TENON_DATA_SCHEMAS=public,app TENON_PROVIDER_MINE_BASE_URL=http://127.0.0.1:9/v1 quickstart >/dev/null)
is 'a variable that names a setting is in the configuration' "$(setting data schemas)" 'public,app'
is '… a provider of its own too' "$(setting 'provider mine' base_url)" 'http://127.0.0.1:9/v1'
is 'what tenon.env has is no setting' "$(cat "$dir/tenon.env")" "$before"
quickstart >/dev/null
is 'it holds for later runs' "$(setting data schemas)" 'public,app'
sed -i 's/^schemas = .*/schemas = public,mine/' "$dir/tenon.conf"
ok 'an edited configuration is taken by reload' "$dir/bin/tenon" reload -c "$dir/tenon.conf"
quickstart >/dev/null
is '… and left alone by quickstart' "$(setting data schemas)" 'public,mine'
like 'a setting that does not exist is named' "$(TENON_DATA_SHEMAS=x quickstart 2>&1)" 'TENON_DATA_SHEMAS names no setting'
before_conf=$(cat "$dir/tenon.conf")
like 'a value that cannot be is named' "$(TENON_CHAT_FLUSH_MS=soon quickstart 2>&1)" 'chat.flush_ms: expected a whole number'
is '… and leaves the configuration as it was' "$(cat "$dir/tenon.conf")" "$before_conf"
sed -i '$a no_such = 1' "$dir/tenon.conf"
like 'a configuration edited wrongly is not blamed on the database' "$(quickstart 2>&1)" "correct $dir/tenon.conf"
echo "$before_conf" >"$dir/tenon.conf"

# After a crash.
for part in nginx tenon postgres; do kill -KILL "$(pid_of $part)"; done
sleep 1
is 'after a crash the status is a failure' "$(quickstart --status >/dev/null && echo 0 || echo 1)" 1
ok 'the next run mends it' quickstart
is '… with the same keys' "$(cat "$dir/tenon.env")" "$before"
like '… and the same data' "$(tail -n 1 "$top/lines" | bash)" 'Hello!.*Hello!'

# A new minor release of an unpacked PostgreSQL.
if rm "$dir/debian/.complete" 2>/dev/null; then
    ok 'PostgreSQL is unpacked again' quickstart
    like '… and keeps the data' "$(tail -n 1 "$top/lines" | bash)" 'Hello!.*Hello!'
fi

# Another stack beside it. The build takes the time, so it gets the first one's.
with_build() { # DIR
    mkdir -p "$1"
    echo 'made by quickstart' >"$1/.tenon-quickstart"
    cp -a "$dir"/{bin,share,source,build,source.sha256} "$1"
}
other=$top/second other_port=$(free_port)
with_build "$other"
as_user=()
if [ "$(id -u)" -eq 0 ]; then
    chown -R nobody "$other"
    as_user=(setpriv --reuid=nobody --regid=nogroup --clear-groups env HOME=/nonexistent)
fi
like 'a port that is taken is named' "$("${as_user[@]}" "$clone/quickstart" --dir "$other" --port "$port" --no-install 2>&1)" \
    "port $port is in use"
ok 'a second stack starts, for an ordinary user' "${as_user[@]}" "$clone/quickstart" --dir "$other" --port "$other_port" --no-install
is 'the first answers' "$(get /auth/v1/health -o /dev/null -w '%{http_code}' -H "apikey: $(value TENON_ANON_KEY)")" 200
is 'the second answers' "$(port=$other_port get /auth/v1/health -o /dev/null -w '%{http_code}' -H "apikey: $(value TENON_ANON_KEY "$other")")" 200
is 'a key of one is none of the other' "$(port=$other_port get /auth/v1/settings -o /dev/null -w '%{http_code}' -H "apikey: $(value TENON_ANON_KEY)")" 401
if [ "$(id -u)" -eq 0 ]; then
    ok 'root does not take it away from that user' bash -c "! '$clone/quickstart' --dir '$other' --yes 2>/dev/null"
    is '… and they still can' "$("${as_user[@]}" "$clone/quickstart" --dir "$other" --no-install >/dev/null 2>&1 && echo yes)" yes
fi
ok 'the second stops' "${as_user[@]}" "$clone/quickstart" --dir "$other" --stop
ok 'the first is still there' quickstart --status

if [ "$(id -u)" -eq 0 ]; then
    mkdir -m 0700 "$top/closed"
    with_build "$top/closed/stack"
    ok 'it works below a folder that is closed to www-data' "$clone/quickstart" --dir "$top/closed/stack" --port "$other_port"
    is '… and answers' "$(port=$other_port get /auth/v1/health -o /dev/null -w '%{http_code}' -H "apikey: $(value TENON_ANON_KEY "$top/closed/stack")")" 200
    is '… with its files where www-data reaches them' "$(setpriv --reuid=www-data --regid=www-data --clear-groups \
        test -w "$(sed -n '/^\[storage\]/,/^\[/s/^dir = //p' "$top/closed/stack/tenon.conf")" && echo yes)" yes
    outside=$(sed -n 's/^SHARED=//p' "$top/closed/stack/state")
    "$clone/quickstart" --dir "$top/closed/stack" --reset --stop --yes >/dev/null
    ok 'reset leaves nothing outside' test ! -e "$outside"
fi

# Stop and reset.
pids=$(quickstart --status | awk '{ print $4 }' | grep -E '^[0-9]+$')
ok 'it stops' quickstart --stop
left=0
for pid in $pids; do [ ! -d "/proc/$pid" ] || left=$((left + 1)); done
is 'nothing is left running' "$left" 0
ok 'stopping twice is harmless' quickstart --stop
ok 'a reset that nobody can confirm is refused' bash -c "! '$clone/quickstart' --dir '$dir' --reset </dev/null"
ok 'it is all still there' test -s "$dir/tenon.env"
ok 'a reset begins anew' quickstart --reset --yes
ok '… with new keys' test "$(cat "$dir/tenon.env")" != "$before"
is '… on the same port' "$(value TENON_URL)" "http://127.0.0.1:$port"
is '… and without the old data' "$(psql -XqAt "$(value TENON_DB_URL)" -c 'select count(*) from auth.users')" 0
done_testing
