/* t/lint/document.c: prints a document made from the table of settings: `document conf|markdown` */
#include <stdio.h>
#include <string.h>

#include "base/config.h"

int
main(int count, char **arguments)
{
    if (count == 2 && strcmp(arguments[1], "conf") == 0) {
        tn_config_document(stdout);
    } else if (count == 2 && strcmp(arguments[1], "markdown") == 0) {
        tn_config_document_markdown(stdout);
    } else {
        (void)fputs("usage: document conf|markdown\n", stderr);
        return 2;
    }
    return fflush(stdout) == 0 ? 0 : 1;
}
