/* main.c: picks the subcommand, nothing else */
#include "cmd/cmd.h"

int
main(int argc, char **argv)
{
    return tn_command_main(argc, argv);
}
