/* base/banned.h: calls that do not compile here, because each has bitten someone
 *
 * Included by the build in front of every source of ours (-include base/banned.h) after the system
 * headers below, so that the poison does not hit them.
 */
#ifndef TN_BASE_BANNED_H
#define TN_BASE_BANNED_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#pragma GCC poison strcpy strcat strncpy strtok gmtime localtime atoi system popen
#pragma GCC poison sprintf

#endif
