/* base/banned.h: calls that do not compile here, because each has bitten someone
 *
 * The build includes it in front of every source of ours (-include base/banned.h). The headers that
 * declare these calls, or that others reach them through, come first: a poisoned name may not
 * appear in any text read after the poison.
 */
#ifndef TN_BASE_BANNED_H
#define TN_BASE_BANNED_H

#include <alloca.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Macros of the C library around some of them; the poison wants none. */
#undef alloca
#undef sprintf
#undef strncpy
#undef strcpy
#undef strcat

#pragma GCC poison strcpy strcat strncpy sprintf strtok gmtime localtime atoi system popen alloca

#endif
