package atoll

/*
#include <atoll.h>

static atoll_status write_batch(atoll_db *db, uint32_t durability, const atoll_batch *batch, atoll_error **err)
{
	atoll_write_opts options = ATOLL_WRITE_OPTS_INIT;
	options.durability = durability;
	return atoll_write(db, &options, batch, NULL, err);
}
*/
import "C"

import (
	"fmt"
	"runtime"
	"time"
)

// Batch is writes that take effect together: all of them or none, also after a crash. One goroutine at a time.
type Batch struct {
	oneAtATime
	store *Store
	batch *C.atoll_batch
}

// Batch returns an empty batch.
func (s *Store) Batch() *Batch {
	batch := NewBatch()
	batch.store = s
	return batch
}

// NewBatch returns an empty batch of no store, for Cluster.Write.
func NewBatch() *Batch {
	batch := &Batch{batch: C.atoll_batch_new()}
	runtime.SetFinalizer(batch, func(b *Batch) { C.atoll_batch_free(b.batch) })
	return batch
}

// Put adds a put; ttl takes the value away again by itself, 0: it stays.
func (b *Batch) Put(key, value []byte, ttl time.Duration) error {
	defer runtime.KeepAlive(b)
	if err := b.enter(); err != nil {
		return err
	}
	defer b.leave()
	ms, err := milliseconds(ttl)
	if err != nil {
		return err
	}
	var cErr *C.atoll_error
	status := C.atoll_batch_put(b.batch, pointer(key), C.size_t(len(key)), pointer(value), C.size_t(len(value)), ms, &cErr)
	return failure(status, cErr)
}

// PutMany adds many puts in one call: each key with the value at its place. Adds all of them or none.
func (b *Batch) PutMany(keys, values [][]byte) error {
	defer runtime.KeepAlive(b)
	if len(keys) != len(values) {
		return &Error{Status: ErrInvalid.Status, Message: fmt.Sprintf("there are %d keys and %d values", len(keys), len(values))}
	}
	if err := b.enter(); err != nil {
		return err
	}
	defer b.leave()
	if len(keys) == 0 {
		return nil
	}
	packedKeys, keyOffsets, wrong := packed(keys)
	if wrong != nil {
		return wrong
	}
	packedValues, valueOffsets, wrong := packed(values)
	if wrong != nil {
		return wrong
	}
	var err *C.atoll_error
	status := C.atoll_batch_put_packed(b.batch, first(packedKeys), &keyOffsets[0], first(packedValues), &valueOffsets[0], C.size_t(len(keys)), &err)
	return failure(status, err)
}

// Delete adds a deletion.
func (b *Batch) Delete(key []byte) error {
	defer runtime.KeepAlive(b)
	if err := b.enter(); err != nil {
		return err
	}
	defer b.leave()
	var err *C.atoll_error
	return failure(C.atoll_batch_delete(b.batch, pointer(key), C.size_t(len(key)), &err), err)
}

// Len returns how many keys the batch writes; 0 after Close.
func (b *Batch) Len() int {
	defer runtime.KeepAlive(b)
	if b.enter() != nil {
		return 0
	}
	defer b.leave()
	return int(C.atoll_batch_len(b.batch))
}

// Clear takes everything out, so that the batch can be filled again. It waits for a call under way.
func (b *Batch) Clear() {
	defer runtime.KeepAlive(b)
	b.lock.Lock()
	defer b.lock.Unlock()
	if b.closed.Load() {
		return
	}
	C.atoll_batch_clear(b.batch)
}

// Write applies the batch to its store; the batch stays as it is. ErrInvalid for one of NewBatch.
func (b *Batch) Write(durability Durability) error {
	defer runtime.KeepAlive(b)
	if b.store == nil {
		return &Error{Status: ErrInvalid.Status, Message: "the batch belongs to no store: hand it to Cluster.Write, or take one from Store.Batch"}
	}
	if err := b.enter(); err != nil {
		return err
	}
	defer b.leave()
	var err *C.atoll_error
	return failure(C.write_batch(b.store.db, C.uint32_t(durability), b.batch, &err), err)
}

// Close gives the memory of the batch back, which the collector knows nothing of. It waits for a call under way. Closing twice
// is allowed.
func (b *Batch) Close() error {
	b.close(func() {
		runtime.SetFinalizer(b, nil)
		C.atoll_batch_free(b.batch)
	})
	return nil
}
