#!/usr/bin/env bash
# t/lint/queries.sh: src/db/queries.awk reads queries.sql as PostgreSQL's lexer does; names are unique in the program
# shellcheck disable=SC2016 # the dollars are SQL's
set -euo pipefail
cd -- "$(dirname -- "$0")/../.."
folder=$(mktemp -d)
trap 'rm -rf -- "$folder"' EXIT
number=0

report() { # OK NAME [DETAILS]
    number=$((number + 1))
    if [ "$1" = yes ]; then echo "ok $number - $2"; else echo "not ok $number - $2"; fi
    [ -z "${3:-}" ] || [ "$1" = yes ] || printf '%s\n' "$3" | sed 's/^/# /'
}

# The text and the number of parameters of the query `x`, as a C compiler sees them.
statement_of() { # SQL
    printf '%s\n' "$1" >"$folder/queries.sql"
    awk -f src/db/queries.awk "$folder/queries.sql" >"$folder/queries.h" 2>"$folder/errors" || return 1
    printf '#include <stdio.h>\n#include "%s/queries.h"\nint main(void) { printf("%%d|%%s", tn_sql_x.parameters, tn_sql_x.sql); return 0; }\n' \
        "$folder" >"$folder/print.c"
    ${CC:-cc} -Isrc -o "$folder/print" "$folder/print.c" && "$folder/print"
}

becomes() { # NAME SQL WANTED
    local got
    got=$(statement_of "-- name: x   a comment with \$9
$2") || got="failed: $(cat "$folder/errors")"
    if [ "$got" = "$3" ]; then report yes "$1"; else report no "$1" "got $got, wanted $3"; fi
}

is_refused() { # NAME SQL WORDS
    if statement_of "$2" >/dev/null 2>&1; then
        report no "$1" 'it was taken'
    elif grep -q "$3" "$folder/errors"; then
        report yes "$1"
    else
        report no "$1" "$(cat "$folder/errors")"
    fi
}

becomes 'the final semicolon goes' 'select 1;' '0|select 1'
becomes 'the highest parameter counts' "select \$2, \$11, \$1;" "11|select \$2, \$11, \$1"
becomes 'lines stay lines' $'select 1,\n  2;\n' $'0|select 1,\n  2'
becomes 'comments go' $'-- above \'\nselect 1, -- beside $7\n  /* $8 /* nested */ -- */ 2;\n-- below\n' $'0|select 1,\n    2'
becomes 'a string keeps its --, $n and doubled quotes' "select '-- \$5 it''s', \$1;" "1|select '-- \$5 it''s', \$1"
becomes 'a string over lines' $'select \'a\n-- b $3\n\nc\';' $'0|select \'a\n-- b $3\n\nc\''
becomes 'an escape string' "select E'it\\'s \$4 -- ', e'\\\\', \$1;" "1|select E'it\\'s \$4 -- ', e'\\\\', \$1"
becomes 'the backslash of an ordinary string is a character' "select '\\', \$1;" "1|select '\\', \$1"
becomes 'a name in quotes' 'select "a -- $6 ""b", $1;' '1|select "a -- $6 ""b", $1'
becomes 'dollar quotes' $'do $$ begin -- kept $3\n perform \'x\'; end $$;' $'0|do $$ begin -- kept $3\n perform \'x\'; end $$'
becomes 'dollar quotes with a tag' 'select $a$ $$ $b$ $9 $a$, $2;' '2|select $a$ $$ $b$ $9 $a$, $2'
becomes 'a dollar in a name is no parameter' 'select a$7, $1;' '1|select a$7, $1'
becomes '-- name: inside a body is text' $'select $$\n-- name: y\n$$;' $'0|select $$\n-- name: y\n$$'
is_refused 'a name twice' $'-- name: x\nselect 1;\n-- name: x\nselect 2;' 'there twice'
is_refused 'a string without its end' $'-- name: x\nselect \'a;' 'ends inside a literal'
is_refused 'a comment without its end' $'-- name: x\nselect 1 /*' 'ends inside a comment'
is_refused 'a query without text' $'-- name: x\n-- only this\n' 'is empty'
is_refused 'a name that is no C name' $'-- name: x-y\nselect 1;' 'a name is small letters'
is_refused 'text before the first name' $'select 1;\n-- name: x\nselect 1;' 'before the first'

# A connection remembers what it has prepared by the name of the statement.
twice=$(sed -n 's/^-- name: \([a-z0-9_]*\).*/\1/p' src/*/*queries.sql | sort | uniq -d)
if [ -z "$twice" ]; then report yes 'names are unique in the program'; else report no 'names are unique in the program' "$twice"; fi
echo "1..$number"
