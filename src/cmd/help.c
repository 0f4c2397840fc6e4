/* cmd/help.c: the help, of everything, of a noun, of a command */
#include "cmd/help.h"

#include <string.h>

static const char help_common[] =
    "\nOptions of every command:\n"
    "  -c, --config FILE      the configuration (else TENON_CONF, else " TN_SYSCONF_DIR
    "/tenon.conf)\n"
    "      --json             one JSON value instead of text\n"
    "  -h, --help             this help\n";

static const char help_end[] =
    "\nTENON_SECTION_KEY in the environment overrides a setting of the file.\n"
    "\nExit status: 0 done, 1 failed, 2 wrong usage, 3 server not running, 4 not found,\n"
    "5 database or provider out of reach, 6 wrong configuration.\n"
    "\n`tenon COMMAND --help` tells more about one.\n";

bool
tn_help_is_of(const char *name, const char *noun)
{
    const size_t length = noun == NULL ? 0 : strlen(noun);

    return noun == NULL ||
           (strncmp(name, noun, length) == 0 && (name[length] == ' ' || name[length] == '\0'));
}

static void
print_commands(FILE *out, const char *noun)
{
    for (const tn_command *const *table = tn_command_tables; *table != NULL; table++)
        for (const tn_command *command = *table; command->name != NULL; command++)
            if (tn_help_is_of(command->name, noun))
                fprintf(out, "  %-22s %s\n", command->name, command->summary);
}

void
tn_help_print(FILE *out, const char *noun)
{
    if (noun == NULL)
        fputs("Usage: tenon COMMAND [OPTION]...\n\nThe backend under an AI app: its server, and "
              "the operator's commands.\n"
              "\nCommands:\n",
              out);
    else
        fprintf(out, "Usage: tenon %s COMMAND [OPTION]...\n\nCommands:\n", noun);
    print_commands(out, noun);
    fputs(help_common, out);
    if (noun == NULL)
        fputs(help_end, out);
}

/* What is the command's own: without the options of every command. */
static void
print_own(FILE *out, const tn_command *command)
{
    fprintf(out, "Usage: tenon %s%s%s [OPTION]...\n\n%s.\n", command->name,
            command->arguments == NULL ? "" : " ",
            command->arguments == NULL ? "" : command->arguments, command->summary);
    if (command->help != NULL)
        fprintf(out, "\n%s", command->help);
    if (command->options != NULL)
        fputs("\nOptions:\n", out);
    for (const tn_option *option = command->options; option != NULL && option->name != NULL;
         option++) {
        char left[64];

        snprintf(left, sizeof left, "--%s%s%s", option->name, option->value == NULL ? "" : " ",
                 option->value == NULL ? "" : option->value);
        fprintf(out, "      %-22s %s\n", left, option->summary);
    }
}

void
tn_help_print_command(FILE *out, const tn_command *command)
{
    print_own(out, command);
    fputs(help_common, out);
}

void
tn_help_print_all(FILE *out)
{
    fputs(
        "# The command\n\n"
        "Made by `tenon help all`. Every command takes `-c FILE` (the configuration; else "
        "`TENON_CONF`, else\n"
        "`tenon.conf` in the installed folder), `--json` (one JSON value instead of text; problems "
        "as\n"
        "`{\"error\": {\"code\", \"message\", \"details\", \"hint\"}}` on standard error) and "
        "`--help`.\n\n"
        "| exit status | meaning |\n|---|---|\n"
        "| 0 | done |\n| 1 | understood, and could not be done; `doctor`: something is wrong |\n"
        "| 2 | the command line was not understood |\n| 3 | no server is running |\n"
        "| 4 | no such tenant, key, user … |\n| 5 | PostgreSQL or the provider is out of reach |\n"
        "| 6 | the configuration is wrong |\n",
        out);
    for (const tn_command *const *table = tn_command_tables; *table != NULL; table++)
        for (const tn_command *command = *table; command->name != NULL; command++) {
            fprintf(out, "\n## tenon %s\n\n```\n", command->name);
            print_own(out, command);
            fputs("```\n", out);
        }
}
