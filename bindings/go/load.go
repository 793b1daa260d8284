package atoll

/*
#include <atoll.h>
*/
import "C"

import (
	"context"
	"runtime"
	"time"
)

// Load is sorted pairs on their way into a store, past its log: several times as fast as writes. One goroutine at a time, and ErrBusy otherwise.
type Load struct {
	one   oneAtATime
	store *Store
	load  *C.atoll_load
}

// Load begins a bulk load. Others read and write meanwhile. Close gives up one that was not finished.
func (s *Store) Load() (*Load, error) {
	defer runtime.KeepAlive(s)
	var load *C.atoll_load
	var err *C.atoll_error
	if status := C.atoll_load_begin(s.db, &load, &err); status != C.ATOLL_OK {
		return nil, failure(status, err)
	}
	made := &Load{store: s, load: load}
	runtime.SetFinalizer(made, func(l *Load) { l.Close() })
	return made, nil
}

// Put adds a pair, whose key must be greater than every one before it: ErrInvalid, and the load can then only be closed. A TTL of 0 stays.
func (l *Load) Put(key, value []byte, ttl time.Duration) error {
	ms, err := milliseconds(ttl)
	if err != nil {
		return err
	}
	if err := l.one.enter(); err != nil {
		return err
	}
	defer l.one.leave()
	defer runtime.KeepAlive(l)
	var cErr *C.atoll_error
	return failure(C.atoll_load_put(l.load, pointer(key), C.size_t(len(key)), pointer(value), C.size_t(len(value)), ms, &cErr), cErr)
}

// Finish makes the pairs visible and durable, all of them at once or, after an error, none; how many there were. Ctx is looked at before.
func (l *Load) Finish(ctx context.Context) (uint64, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	if err := l.one.enter(); err != nil {
		return 0, err
	}
	defer l.one.leave()
	defer runtime.KeepAlive(l)
	var keys C.uint64_t
	var err *C.atoll_error
	status := C.atoll_load_finish(l.store.db, l.load, &keys, &err)
	return uint64(keys), failure(status, err)
}

// Close frees the load; what was not finished is gone. Closing twice is allowed.
func (l *Load) Close() error {
	l.one.close(func() { C.atoll_load_free(l.load) })
	return nil
}
