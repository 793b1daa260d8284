/* Asks libmemcached for the server of each key. stdin: "host port weight" lines, an empty line, keys in
 * hexadecimal. stdout: the index of the server of each key. Build: cc ketama.c -lmemcached */
#include <libmemcached/memcached.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(void) {
    static char line[1 << 16], host[256];
    static unsigned char key[1 << 15];
    unsigned port, weight, byte;
    memcached_st *memc = memcached_create(NULL);
    memcached_behavior_set(memc, MEMCACHED_BEHAVIOR_KETAMA_WEIGHTED, 1);
    memcached_behavior_set(memc, MEMCACHED_BEHAVIOR_KETAMA_HASH, MEMCACHED_HASH_MD5);
    while (fgets(line, sizeof line, stdin) && sscanf(line, "%255s %u %u", host, &port, &weight) == 3)
        if (memcached_server_add_with_weight(memc, host, (in_port_t)port, weight) != MEMCACHED_SUCCESS) return 1;
    while (fgets(line, sizeof line, stdin)) {
        size_t len = strcspn(line, "\n") / 2;
        for (size_t i = 0; i < len; i++) {
            sscanf(line + 2 * i, "%2x", &byte);
            key[i] = (unsigned char)byte;
        }
        printf("%u\n", memcached_generate_hash(memc, (const char *)key, len));
    }
    memcached_free(memc);
    return 0;
}
