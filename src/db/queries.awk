# queries.sql → queries.h: `-- name: x   comment` starts a query, which runs to the next name.
# Each becomes `static const tn_statement tn_sql_x = {"x", "…", highest $n};`

function flush_query(   text, rest, highest, n) {
    if (name == "")
        return
    text = body
    sub(/[ \t\n]+$/, "", text)
    sub(/;$/, "", text)
    rest = text
    while (match(rest, /\$[0-9]+/)) {
        n = substr(rest, RSTART + 1, RLENGTH - 1) + 0
        if (n > highest)
            highest = n
        rest = substr(rest, RSTART + RLENGTH)
    }
    gsub(/\\/, "\\\\", text)
    gsub(/"/, "\\\"", text)
    gsub(/\n/, "\\n\"\n    \"", text)
    printf "static const tn_statement tn_sql_%s TN_UNUSED = {\"%s\",\n    \"%s\", %d};\n\n", \
        name, name, text, highest + 0
}

BEGIN {
    print "/* made from queries.sql by src/db/queries.awk; edit that */"
    print "#include \"base/attributes.h\""
    print "#include \"db/statement.h\"\n"
}
/^-- name: / {
    flush_query()
    name = $3
    body = ""
    if (name in seen) {
        print FILENAME ": the name " name " is there twice" > "/dev/stderr"
        exit 1
    }
    seen[name] = 1
    next
}
/^[ \t]*--/ { next }
name != "" && (body != "" || $0 !~ /^[ \t]*$/) { body = body (body == "" ? "" : "\n") $0 }
END { flush_query() }
