#!/usr/bin/env bash
# t/lint/settings.sh: etc/tenon.conf and docs/reference/settings.md are what the table of settings says
#
# t/lint/document of the build folder (the folder of $TENON_BIN) prints both; `make settings` writes them.
set -u
source=$(cd "${TENON_SRC:-$(dirname "$0")/../..}" && pwd) || exit 1
build=$(dirname "${TENON_BIN:-$source/tenon}")
document=$build/t/lint/document

echo 1..3
if [ ! -x "$document" ]; then
    echo "Bail out! $document is missing: run make check in the build folder"
    exit 1
fi

failed=0
check() { # number, description, format, file
    if difference=$(diff -u "$source/$4" <("$document" "$3") 2>&1); then
        echo "ok $1 - $2"
    else
        failed=1
        echo "not ok $1 - $2"
        printf '%s\n' "$difference" | head -n 40 | sed 's/^/# /'
        echo "# run: make settings"
    fi
}
check 1 "etc/tenon.conf is the table of settings" conf etc/tenon.conf
check 2 "docs/reference/settings.md is the table of settings" markdown docs/reference/settings.md

# Whatever the documents look like: each setting of the table stands in both.
missing=$(grep -oE '^    \{("[a-z]+"|TN_PROVIDER_SECTION), "[a-z0-9_]+"' "$source/src/base/settings.c" |
    grep -oE '"[a-z0-9_]+"$' | tr -d '"' | while read -r key; do
    grep -q "^#$key =" "$source/etc/tenon.conf" && grep -q "\`$key\`" "$source/docs/reference/settings.md" ||
        echo "$key"
done)
if [ -z "$missing" ]; then
    echo "ok 3 - every setting is in both"
else
    failed=1
    echo "not ok 3 - every setting is in both"
    printf '%s\n' "$missing" | sed 's/^/# /'
fi
exit $failed
