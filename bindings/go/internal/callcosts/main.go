//go:build !atoll_static

// Command callcosts measures what a call from Go costs beside the same call from C, on the same data in one run: go run
// ./internal/callcosts DIRECTORY. Lowest of many short slices that take turns, so that what else the machine does weighs little.
package main

/*
#cgo pkg-config: atoll
#include <atoll.h>
#include <stdlib.h>

// Each returns 0, or the status of the first call that was not answered with ATOLL_OK.
static atoll_status c_get(atoll_db *db, const uint8_t *keys, size_t key_n, size_t n)
{
	char room[128];
	size_t len;
	for (size_t i = 0; i < n; i++) {
		atoll_status status = atoll_get_into(db, NULL, keys + i * key_n, key_n, room, sizeof room, &len, NULL);
		if (status != ATOLL_OK)
			return status;
	}
	return ATOLL_OK;
}

static atoll_status c_multi_get(atoll_db *db, const uint8_t *keys, const uint32_t *offsets, size_t n, uint8_t *values, size_t room,
                                uint64_t *ends, uint8_t *found)
{
	size_t needed;
	return atoll_multi_get(db, NULL, keys, offsets, n, values, room, ends, found, &needed, NULL);
}

static atoll_status c_put(atoll_db *db, const uint8_t *keys, size_t key_n, size_t n)
{
	char value[100] = {0};
	for (size_t i = 0; i < n; i++) {
		atoll_status status = atoll_put(db, NULL, keys + i * key_n, key_n, value, sizeof value, NULL);
		if (status != ATOLL_OK)
			return status;
	}
	return ATOLL_OK;
}

static uint32_t c_nothing(size_t n)
{
	uint32_t sum = 0;
	for (size_t i = 0; i < n; i++)
		sum += atoll_abi_version();
	return sum;
}
*/
import "C"

import (
	"context"
	"fmt"
	"log"
	"math"
	"os"
	"path/filepath"
	"time"
	"unsafe"

	"atoll.dev/go/atoll"
)

const (
	keyCount = 1024
	keyBytes = 16
	slices   = 400
)

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func done(status C.atoll_status) {
	if status != C.ATOLL_OK {
		log.Fatal("C: ", C.GoString(C.atoll_status_name(status)))
	}
}

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: callcosts DIRECTORY")
	}
	store, err := atoll.Open(context.Background(), filepath.Join(os.Args[1], "go"), nil)
	must(err)
	defer store.Close()
	path := C.CString(filepath.Join(os.Args[1], "c"))
	defer C.free(unsafe.Pointer(path))
	var db *C.atoll_db
	done(C.atoll_db_open(path, nil, &db, nil))
	defer C.atoll_db_free(db)

	var packed []byte
	offsets := make([]C.uint32_t, 1, keyCount+1)
	keys := make([][]byte, keyCount)
	value := make([]byte, 100)
	for i := range keys {
		keys[i] = []byte(fmt.Sprintf("key-%012d", i))
		packed = append(packed, keys[i]...)
		offsets = append(offsets, C.uint32_t(len(packed)))
		must(store.Put(keys[i], value, nil))
	}
	cKeys := (*C.uint8_t)(unsafe.Pointer(&packed[0]))
	done(C.c_put(db, cKeys, keyBytes, keyCount))
	room := make([]byte, 0, 128)
	values := make([]C.uint8_t, 128*keyCount)
	ends := make([]C.uint64_t, keyCount+1)
	found := make([]C.uint8_t, keyCount)
	many := func(n int) (inC, inGo func()) {
		inC = func() {
			for i := 0; i < keyCount/n; i++ {
				done(C.c_multi_get(db, cKeys, &offsets[0], C.size_t(n), &values[0], C.size_t(len(values)), &ends[0], &found[0]))
			}
		}
		inGo = func() {
			for i := 0; i < keyCount/n; i++ {
				_, err := store.GetMany(keys[:n])
				must(err)
			}
		}
		return inC, inGo
	}
	many32C, many32 := many(32)
	manyAllC, manyAll := many(keyCount)
	get := func() { done(C.c_get(db, cKeys, keyBytes, keyCount)) }
	rows := []struct {
		name      string
		inC, inGo func()
	}{
		{"nothing (atoll_abi_version)", func() { C.c_nothing(keyCount) }, func() {
			for range keys {
				C.atoll_abi_version()
			}
		}},
		{"Get", get, func() {
			for _, key := range keys {
				_, err := store.Get(key)
				must(err)
			}
		}},
		{"GetInto", get, func() {
			for _, key := range keys {
				_, err := store.GetInto(key, room)
				must(err)
			}
		}},
		{"GetMany of 32, per key", many32C, many32},
		{"GetMany of 1024, per key", manyAllC, manyAll},
		{"Put, buffered", func() { done(C.c_put(db, cKeys, keyBytes, keyCount)) }, func() {
			for _, key := range keys {
				must(store.Put(key, value, nil))
			}
		}},
	}
	fmt.Println("| call | C, ns | Go, ns | Go over C, ns |\n|---|---|---|---|")
	for _, row := range rows {
		c, g := math.Inf(1), math.Inf(1)
		for i := 0; i < slices; i++ {
			c, g = math.Min(c, timed(row.inC)), math.Min(g, timed(row.inGo))
		}
		fmt.Printf("| %s | %.1f | %.1f | %.1f |\n", row.name, c, g, g-c)
	}
}

// timed returns nanoseconds a key.
func timed(work func()) float64 {
	begin := time.Now()
	work()
	return float64(time.Since(begin).Nanoseconds()) / keyCount
}
