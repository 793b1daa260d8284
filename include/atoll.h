/*
 * Atoll: a sharded, replicated key-value engine that lives inside your program.
 *
 * Printed from the sources of libatoll by scripts/header.sh: edits made here are lost.
 *
 * What holds for every function, unless its comment says otherwise:
 *   - No call unwinds or aborts: an internal error becomes a return value.
 *   - Pointers returned as `const` belong to the library and must not be freed.
 *   - Link with -latoll. The static library also needs -lgcc_s -lutil -lrt -lpthread -lm -ldl.
 *
 * C99, C11, C17 and C++11 to C++20. SPDX-License-Identifier: Apache-2.0 OR MIT
 */

#ifndef ATOLL_H
#define ATOLL_H

#include <stdint.h>

/* Version of this header; compare with atoll_version_number(). */
#define ATOLL_VERSION_MAJOR 0
#define ATOLL_VERSION_MINOR 1
#define ATOLL_VERSION_PATCH 0
#define ATOLL_VERSION_NUMBER \
    ((ATOLL_VERSION_MAJOR << 16) | (ATOLL_VERSION_MINOR << 8) | ATOLL_VERSION_PATCH)

/* Binary interface of this header; compare with atoll_abi_version(). */
#define ATOLL_ABI_VERSION 0

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * Returns the version of the library that is loaded, such as "0.1.0".
 *
 * The string ends with NUL, lives as long as the library stays loaded, is never NULL and must not be
 * freed. Safe from any thread, before any other call.
 */
const char *atoll_version(void);

/**
 * Returns the version of the library that is loaded as one number: major << 16 | minor << 8 | patch.
 *
 * Compare it with ATOLL_VERSION_NUMBER, the version of the header a program was compiled with. Safe from
 * any thread, before any other call.
 */
uint32_t atoll_version_number(void);

/**
 * Returns the number of the binary interface of the library that is loaded.
 *
 * If it differs from ATOLL_ABI_VERSION of the header a program was compiled with, the program must not
 * call anything else. Safe from any thread, before any other call.
 */
uint32_t atoll_abi_version(void);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* ATOLL_H */
