/* t/fuzz/fuzz.h: what a fuzz target is
 *
 * A target takes any bytes and asserts a property of the code; what it returns means nothing.
 * libFuzzer calls it with what it has made up, replay.c with the files of t/fuzz/corpus/<name>/.
 */
#ifndef TN_T_FUZZ_FUZZ_H
#define TN_T_FUZZ_FUZZ_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

#endif
