#!/usr/bin/env bash
# t/lint/rooms.sh: arrows between the rooms of src/ point downward only (docs/architecture.md)
#
# Reads every #include "room/…" line. Also: one room per library.
set -u
cd "${TENON_SRC:-$(dirname "$0")/../..}" || exit 1

declare -A may=(
    [base]=""
    [db]="base"
    [http]="base"
    [identity]="http db base"
    [ai]="identity http db base"
    [hook]="identity http db base"
    [oauth]="identity http db base"
    [mail]="hook identity http db base"
    [jobs]="mail hook identity http db base"
    [auth]="oauth mail hook ai jobs identity http db base"
    [chat]="ai jobs identity http db base"
    [data]="ai jobs identity http db base"
    [objects]="identity http db base"
    [images]="base"
    [storage]="images objects identity http db base"
    [server]="identity http db base"
    [cmd]="server storage objects images auth chat data oauth mail hook ai jobs identity http db base areas.h"
)
# library header → the only places that may include it
libraries="libpq-fe.h:src/db/ curl/:src/base/fetch,src/mail/smtp fcgiapp.h:src/server/,src/http/ openssl/:src/base/crypto,src/base/fetch,src/identity/token,src/objects/digest
argon2.h:src/auth/ crypt.h:src/auth/ fido.h:src/auth/ liboath/:src/auth/ qrencode.h:src/auth/ cjose/:src/identity/ json-c/:src/base/json magic.h:src/objects/store libxml/:src/storage/s3_xml vips/:src/images/ seccomp.h:src/images/"

tests=0
failed=0
check() { # description, findings (empty is good)
    tests=$((tests + 1))
    if [ -z "$2" ]; then
        echo "ok $tests - $1"
    else
        echo "not ok $tests - $1"
        while read -r line; do echo "# $line"; done <<<"$2"
        failed=1
    fi
}

for room in "${!may[@]}"; do
    wrong=""
    while IFS=: read -r file line include; do
        target=${include#*\"}
        target=${target%%\"*}
        target_room=${target%%/*}
        case " $room ${may[$room]} " in
        *" $target_room "*) ;;
        *) wrong+="$file:$line includes $target"$'\n' ;;
        esac
        if [[ $target == *_private.h && $target_room != "$room" ]]; then
            wrong+="$file:$line includes the private $target"$'\n'
        fi
    done < <(grep -nH '^#include "' "src/$room"/*.[ch] 2>/dev/null)
    check "src/$room includes only what lies below it" "${wrong%$'\n'}"
done

for entry in $libraries; do
    header=${entry%%:*}
    wrong=$(grep -rnH "^#include <$header" src | while IFS=: read -r file line rest; do
        allowed=no
        IFS=, read -ra places <<<"${entry#*:}"
        for place in "${places[@]}"; do [[ $file == "$place"* ]] && allowed=yes; done
        [ "$allowed" = yes ] || echo "$file:$line:$rest"
    done)
    check "<$header> is included in ${entry#*:} only" "$wrong"
done

wrong=$(grep -rnE '"[^"]*\b(select|insert into|update|delete from)\b [^"]*\b(from|set|into|values|where)\b' src --include='*.c' |
    grep -vE '^src/(db/|data/sql[_a-z]*\.c:)' || true)
check "no SQL text outside queries.sql, src/db and src/data/sql*.c" "$wrong"

missing=$(for header in src/*/*.h src/*.h; do
    head -n 1 "$header" | grep -q '^/\* ' || echo "$header does not say on its first line what it is for"
done)
check "every header says on top what it is for" "$missing"

echo "1..$tests"
exit "$failed"
