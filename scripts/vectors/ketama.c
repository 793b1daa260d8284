/* Asks libmemcached which server each key belongs to.
 *
 * stdin: a line "host port weight" a server ("/path 0 weight" for a Unix socket), an empty line, then keys in
 * hexadecimal, one a line. stdout: the index of the server of each key. With an argument R the keys are
 * stored on those servers, once and R - 1 more times, by the library's own replication; nothing is printed.
 * Build: cc -O1 ketama.c -lmemcached */
#include <libmemcached/memcached.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int die(const char *what, memcached_st *memc, memcached_return_t rc) {
    fprintf(stderr, "%s: %s\n", what, memcached_strerror(memc, rc));
    return 1;
}

int main(int argc, char **argv) {
    static char line[1 << 16], host[256];
    static unsigned char key[1 << 15];
    unsigned port, weight, byte;
    unsigned long copies = argc > 1 ? strtoul(argv[1], NULL, 10) : 0;
    memcached_st *memc = memcached_create(NULL);
    memcached_return_t rc = memcached_behavior_set(memc, MEMCACHED_BEHAVIOR_KETAMA_WEIGHTED, 1);
    if (rc != MEMCACHED_SUCCESS) return die("ketama", memc, rc);
    if (copies) {
        memcached_behavior_set(memc, MEMCACHED_BEHAVIOR_BINARY_PROTOCOL, 1);
        memcached_behavior_set(memc, MEMCACHED_BEHAVIOR_NUMBER_OF_REPLICAS, copies - 1);
    }
    while (fgets(line, sizeof line, stdin) && sscanf(line, "%255s %u %u", host, &port, &weight) == 3) {
        rc = host[0] == '/' ? memcached_server_add_unix_socket_with_weight(memc, host, weight)
                            : memcached_server_add_with_weight(memc, host, (in_port_t)port, weight);
        if (rc != MEMCACHED_SUCCESS) return die(host, memc, rc);
    }
    while (fgets(line, sizeof line, stdin)) {
        size_t len = strcspn(line, "\n") / 2;
        for (size_t i = 0; i < len; i++) {
            sscanf(line + 2 * i, "%2x", &byte);
            key[i] = (unsigned char)byte;
        }
        if (copies) {
            rc = memcached_set(memc, (const char *)key, len, "v", 1, 0, 0);
            if (rc != MEMCACHED_SUCCESS) return die("set", memc, rc);
        } else {
            printf("%u\n", memcached_generate_hash(memc, (const char *)key, len));
        }
    }
    memcached_free(memc);
    return 0;
}
