/* cmd/serve.c: `tenon serve`, the server in the foreground */
#include "areas.h"
#include "cmd/cmd.h"

static tn_exit
run_serve(tn_command_line *line)
{
    const int status = tn_serve(&tn_application_all, line->config_path);

    switch (status) {
    case 0:
        return TN_EXIT_OK;
    case 78: /* EX_CONFIG of sysexits.h, as systemd shows it */
        return TN_EXIT_CONFIG;
    default:
        return TN_EXIT_FAILED;
    }
}

const tn_command tn_serve_commands[] = {
    {"serve", .summary = "Run the server in the foreground",
     .help = "The master forks the pools of workers and watches them. SIGHUP re-reads the\n"
             "configuration without dropping a request, SIGTERM finishes what runs and stops,\n"
             "SIGUSR1 reopens the log file.\n",
     .run = run_serve},
    {.name = NULL},
};
