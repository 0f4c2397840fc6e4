#!/usr/bin/env bash
# t/lint/routes.sh: every route is in the reference and has a test
#
# TENON_BIN is the program; docs/reference/routes.md is what `tenon routes` prints.
set -u
cd "${TENON_SRC:-$(dirname "$0")/../..}" || exit 1
tenon=${TENON_BIN:?TENON_BIN names the program to test}

number=0
failed=0
check() { # description, condition's exit status
    number=$((number + 1))
    if [ "$2" -eq 0 ]; then
        echo "ok $number - $1"
    else
        echo "not ok $number - $1"
        failed=1
    fi
}

diff <("$tenon" routes) docs/reference/routes.md >&2
check "docs/reference/routes.md is what tenon routes prints" $?

while IFS='|' read -r _ method path _; do
    method=${method// /}
    path=${path// /}
    path=${path//\`/}
    [[ $path == /* ]] || continue
    # /api/chats/{id}/messages in a test: the literal segments in order, anything between
    pattern=$(sed -E 's/[.]/\\./g; s/\{[a-z_]+(\\\.\\\.\\\.)?\}/[^ ]+/g' <<<"$path")
    grep -rqE -- "$pattern" t/api t/sdk t/fault
    check "$method $path has a test" $?
done < <("$tenon" routes)

echo "1..$number"
exit "$failed"
