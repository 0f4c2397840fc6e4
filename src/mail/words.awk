# etc/mail/<language>/<kind>.txt and layout.html → words.h: what messages say when the tenant says nothing else
#
# The first line of a file is the subject, then come paragraphs. Of a paragraph that is `[label](url)` the HTML makes a
# button and the text two lines; one that is `code` stands alone. So both forms come from one source and say the same.

function escape(text) {
    gsub(/&/, "\\&amp;", text)
    gsub(/</, "\\&lt;", text)
    gsub(/>/, "\\&gt;", text)
    return text
}

function literal(text) {
    gsub(/\\/, "&&", text)
    gsub(/"/, "\\\"", text)
    gsub(/\n/, "\\n\"\n     \"", text)
    return "\"" text "\""
}

function add_paragraph(    label, url) {
    if (paragraph == "")
        return
    if (paragraph ~ /^\[.*\]\(.*\)$/) {
        label = substr(paragraph, 2, index(paragraph, "](") - 2)
        url = substr(paragraph, index(paragraph, "](") + 2)
        sub(/\)$/, "", url)
        text = text label ":\n" url "\n\n"
        html = html "<p><a href=\"" url "\" style=\"display: inline-block; padding: 0.6em 1.2em; border-radius: 0.4em; " \
            "background: #1d4ed8; color: #ffffff; text-decoration: none\">" escape(label) "</a></p>\n"
    } else if (paragraph ~ /^`.*`$/) {
        paragraph = substr(paragraph, 2, length(paragraph) - 2)
        text = text paragraph "\n\n"
        html = html "<p style=\"font: bold 1.6em ui-monospace, monospace; letter-spacing: 0.15em\">" paragraph "</p>\n"
    } else {
        text = text paragraph "\n\n"
        html = html "<p>" escape(paragraph) "</p>\n"
    }
    paragraph = ""
}

function replace(whole, mark, with,    at) {
    while ((at = index(whole, mark)) > 0)
        whole = substr(whole, 1, at - 1) with substr(whole, at + length(mark))
    return whole
}

function add_file(    parts, n, page) {
    if (name == "")
        return
    add_paragraph()
    n = split(name, parts, "/")
    sub(/\.txt$/, "", parts[n])
    page = replace(layout, "@LANGUAGE@", parts[n - 1])
    page = replace(page, "@SUBJECT@", escape(subject))
    page = replace(page, "@CONTENT@\n", html)
    sub(/\n$/, "", text)
    printf "    {\"%s\", \"%s\",\n     %s,\n     %s,\n     %s},\n", parts[n], parts[n - 1], literal(subject), literal(text), literal(page)
}

BEGIN {
    print "/* made from etc/mail by src/mail/words.awk; edit those */"
    print "static const tn_mail_words built_in[] = {"
}
FILENAME ~ /layout\.html$/ { layout = layout $0 "\n"; next }
FNR == 1 { add_file(); name = FILENAME; subject = $0; text = html = paragraph = ""; next }
/^$/ { add_paragraph(); next }
{ paragraph = paragraph (paragraph == "" ? "" : " ") $0 }
END { add_file(); print "    {.kind = NULL},"; print "};" }
