/* What the C tests share: one line for each check, and the number of those that failed. */
#ifndef ATOLL_TESTS_CHECK_H
#define ATOLL_TESTS_CHECK_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <atoll.h>

static int check_failed = 0;

/* Tells one fact about the library as a line `ok NAME` or `not ok NAME`. */
static void check(int is_so, const char *name)
{
    printf("%s %s\n", is_so ? "ok" : "not ok", name);
    if (!is_so) {
        check_failed = 1;
    }
}

/* As check() for a call that should answer `expected`; shows the error and frees it. */
static void check_status(atoll_status answered, atoll_status expected, atoll_error **err, const char *name)
{
    if (answered != expected) {
        printf("# %s instead of %s: %s\n", atoll_status_name(answered), atoll_status_name(expected),
               atoll_error_message(err ? *err : NULL));
    }
    check(answered == expected && (err == NULL || (answered < 0) == (*err != NULL)), name);
    if (err) {
        atoll_error_free(*err);
        *err = NULL;
    }
}

/* Whether a view holds exactly the text. */
static inline int view_is(atoll_bytes view, const char *text)
{
    return view.len == strlen(text) && memcmp(view.data, text, view.len) == 0;
}

/* A new directory for a test, removed by nobody: it lies in the build folder. */
static inline char *fresh_dir(void)
{
    const char *base = getenv("TEST_DIR");
    size_t len = strlen(base ? base : "/tmp") + 32;
    char *dir = (char *)malloc(len);
    snprintf(dir, len, "%s/atoll-XXXXXX", base ? base : "/tmp");
    if (!mkdtemp(dir)) {
        perror(dir);
        exit(2);
    }
    return dir;
}

#endif
