/*
 * The version functions, seen from C: linked with the shared library, with the static one, and checked
 * for memory errors. Prints one line a case, "ok NAME" or "not ok NAME"; the exit status
 * is 1 if one failed.
 */
#include <atoll.h>

#include <stdio.h>
#include <string.h>

static int failures;

static void check(int holds, const char *name)
{
    printf("%s %s\n", holds ? "ok" : "not ok", name);
    if (!holds) {
        failures++;
    }
}

int main(void)
{
    char expected[48];
    uint32_t number = atoll_version_number();
    /* Assigning to these types fails to compile when a signature changes. */
    const char *(*version)(void) = atoll_version;
    uint32_t (*version_number)(void) = atoll_version_number;
    uint32_t (*abi_version)(void) = atoll_abi_version;

    snprintf(expected, sizeof expected, "%u.%u.%u", (unsigned)(number >> 16), (unsigned)(number >> 8 & 0xff),
             (unsigned)(number & 0xff));

    check(version() != NULL, "the_version_is_never_null");
    check(strcmp(version(), expected) == 0, "the_text_and_the_number_are_the_same_version");
    check(version() == atoll_version(), "the_text_stays_at_its_place");
    check(version_number() == ATOLL_VERSION_NUMBER, "the_header_is_the_librarys");
    check(abi_version() == ATOLL_ABI_VERSION, "the_binary_interface_is_the_headers");

    return failures != 0;
}
