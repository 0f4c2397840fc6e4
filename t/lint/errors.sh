#!/usr/bin/env bash
# t/lint/errors.sh: every error code that a client can see is in docs/reference/errors.md
#
# Codes stand in tn_error_new(arena, 404, "code", …), in tables of outcomes, TN_OUTCOME("code", …) or .code = "code", and, raised by SQL of
# ours, in constraint = 'code'.
set -u
cd "${TENON_SRC:-$(dirname "$0")/../..}" || exit 1

codes=$(
    {
        tr '\n' ' ' < <(cat src/*/*.c) |
            grep -oE 'tn_error_new\([^,]*, *[^,]*, *"[A-Za-z0-9_]+"' | sed 's/.*"\(.*\)"/\1/'
        grep -hoE '"PGRST[0-9]{3}"' src/*/*.c | tr -d '"'
        grep -hoE '(TN_OUTCOME\(|\.code = )"[a-z0-9_]+"' src/auth/*.c | sed 's/.*"\(.*\)"/\1/'
        grep -hoE "constraint *= *'[A-Za-z_]+'" sql/migrations/*.sql src/*/queries.sql | sed "s/.*'\(.*\)'/\1/"
    } | grep -vE '^[0-9A-Z]{5}$' | sort -u # codes of PostgreSQL are in its manual
)
echo "1..$(wc -w <<<"$codes")"
number=0
failed=0
for code in $codes; do
    number=$((number + 1))
    if grep -qE "^\| (\`[^|]*, )?\`$code\`" docs/reference/errors.md; then
        echo "ok $number - $code is documented"
    else
        echo "not ok $number - $code is not in docs/reference/errors.md"
        failed=1
    fi
done
exit "$failed"
