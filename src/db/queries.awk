# queries.sql → queries.h: `-- name: x   comment` starts a query, which runs to the next name.
# Each becomes `static const tn_statement tn_sql_x = {.name = "x", .sql = "…", .parameters = highest $n};`
#
# The text is read as PostgreSQL's lexer reads it (strings, E'' strings, "names", $tag$ bodies, nested
# comments), so that a `--` or `$1` inside a literal is left alone and not counted, and a literal may
# span lines. Comments are dropped.

function fail(why) {
    print FILENAME ":" FNR ": " why > "/dev/stderr"
    failed = 1
    exit 1
}

# What the characters of one line mean, going on in the state the line before has left:
# "" plain, "'" string, "e" E'' string, "\"" name, "*" comment, "$…$" a body that ends with this tag.
function read_line(line,    i, c, two, out, tag, n) {
    out = ""
    for (i = 1; i <= length(line); i++) {
        c = substr(line, i, 1)
        two = substr(line, i, 2)
        if (state == "*") {
            if (two == "/*") { depth++; i++ }
            else if (two == "*/") { i++; if (--depth == 0) { state = ""; out = out " " } }
            continue
        }
        if (state == "e" && c == "\\") { out = out two; i++; continue }
        if (state == "e" || state == "'") {
            if (c == "'") state = ""        # a doubled one opens the next string at once
            if (two == "''") { out = out "'"; i++; state = was }
            out = out c
            continue
        }
        if (state == "\"") { if (c == "\"") state = ""; out = out c; continue }
        if (state != "") {
            if (c == "$" && substr(line, i, length(state)) == state) {
                out = out state; i += length(state) - 1; state = ""
            } else out = out c
            continue
        }
        if (two == "--") { sub(/[ \t]+$/, "", out); break }
        if (two == "/*") { state = "*"; depth = 1; i++; continue }
        if (c == "'") { was = state = before ~ /[eE]$/ && before !~ /[A-Za-z0-9_$][eE]$/ ? "e" : "'" }
        else if (c == "\"") state = "\""
        else if (c == "$" && before !~ /[A-Za-z0-9_$]$/) {
            if (match(substr(line, i), /^\$[0-9]+/)) {
                n = substr(line, i + 1, RLENGTH - 1) + 0
                if (n > highest) highest = n
            } else if (match(substr(line, i), /^\$([A-Za-z_][A-Za-z0-9_]*)?\$/)) {
                tag = substr(line, i, RLENGTH)
                out = out tag; i += RLENGTH - 1; state = tag; before = "$"
                continue
            }
        }
        out = out c
        before = substr(before c, length(before c) - 1)
    }
    if (state == "") before = ""
    return out
}

function flush_query(    text) {
    if (name == "")
        return
    if (state != "")
        fail("the query " name " ends inside a " (state == "*" ? "comment" : "literal"))
    text = body
    sub(/[ \t\n]*;?[ \t\n]*$/, "", text)
    if (text == "")
        fail("the query " name " is empty")
    gsub(/\\/, "&&", text)
    gsub(/"/, "\\\"", text)
    gsub(/\n/, "\\n\"\n    \"", text)
    printf "static const tn_statement tn_sql_%s TN_UNUSED = {.name = \"%s\",\n    .sql = \"%s\", .parameters = %d};\n\n", \
        name, name, text, highest + 0
}

BEGIN {
    print "/* made from queries.sql by src/db/queries.awk; edit that */"
    print "#include \"base/attributes.h\""
    print "#include \"db/statement.h\"\n"
}

state == "" && /^-- name: / {
    flush_query()
    name = $3
    if (name !~ /^[a-z][a-z0-9_]*$/)
        fail("a name is small letters, digits and _, not " name)
    if (name in seen)
        fail("the name " name " is there twice")
    seen[name] = 1
    body = before = ""
    highest = 0
    next
}

{
    literal = state != "" && state != "*"
    text = read_line($0)
    if (!literal && text ~ /^[ \t]*$/)
        next # blank, or was a comment
    if (name == "")
        fail("this comes before the first -- name:")
    body = body (body == "" ? "" : "\n") text
}

END { if (!failed) flush_query() }
