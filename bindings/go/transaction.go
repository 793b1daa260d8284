package atoll

/*
#include "views.h"

typedef struct { atoll_status status; atoll_bytes value; atoll_error *err; } view_answer;

static view_answer transaction_get(atoll_transaction *transaction, const void *key, size_t n)
{
	view_answer answer = {ATOLL_OK, {NULL, 0}, NULL};
	answer.status = atoll_transaction_get(transaction, key, n, &answer.value, &answer.err);
	answer.value = seen_by_go(answer.value);
	return answer;
}

static atoll_status commit(atoll_transaction *transaction, uint32_t durability, atoll_error **err)
{
	atoll_write_opts options = ATOLL_WRITE_OPTS_INIT;
	options.durability = durability;
	return atoll_transaction_commit(transaction, &options, NULL, err);
}

static atoll_status transaction_scan(atoll_transaction *transaction, int has_lo, const void *lo, size_t lo_n, int has_hi, const void *hi,
                                     size_t hi_n, uint32_t flags, uint64_t limit, atoll_iter **iter, atoll_error **err)
{
	atoll_range range = ATOLL_RANGE_INIT;
	if (has_lo) {
		range.lo = (const uint8_t *)lo;
		range.lo_len = lo_n;
	}
	if (has_hi) {
		range.hi = (const uint8_t *)hi;
		range.hi_len = hi_n;
	}
	range.flags = flags;
	range.limit = limit;
	return atoll_transaction_scan(transaction, &range, iter, err);
}
*/
import "C"

import (
	"context"
	"errors"
	"runtime"
	"time"
)

// Transaction is reads and writes that hold together. One goroutine at a time.
type Transaction struct {
	oneAtATime
	transaction *C.atoll_transaction
}

// Begin begins a transaction: commit it, and Close it in any case.
func (s *Store) Begin() (*Transaction, error) {
	defer runtime.KeepAlive(s)
	made := &Transaction{}
	var err *C.atoll_error
	if status := C.atoll_transaction_begin(s.db, &made.transaction, &err); status != C.ATOLL_OK {
		return nil, failure(status, err)
	}
	runtime.SetFinalizer(made, func(t *Transaction) { C.atoll_transaction_free(t.transaction) })
	return made, nil
}

// Get returns the value of a key as of the beginning of the transaction, or as it has written it; ErrNotFound if it has
// none. The commit fails if somebody else has written the key since.
func (t *Transaction) Get(key []byte) ([]byte, error) {
	defer runtime.KeepAlive(t)
	if err := t.enter(); err != nil {
		return nil, err
	}
	defer t.leave()
	answer := C.transaction_get(t.transaction, pointer(key), C.size_t(len(key)))
	switch answer.status {
	case C.ATOLL_OK:
		return copied(answer.value.data, answer.value.len), nil
	case C.ATOLL_NOT_FOUND:
		return nil, ErrNotFound
	}
	return nil, failure(answer.status, answer.err)
}

// Put gives a key a value when the transaction commits; the transaction sees it at once.
func (t *Transaction) Put(key, value []byte, ttl time.Duration) error {
	defer runtime.KeepAlive(t)
	if err := t.enter(); err != nil {
		return err
	}
	defer t.leave()
	ms, err := milliseconds(ttl)
	if err != nil {
		return err
	}
	var cErr *C.atoll_error
	status := C.atoll_transaction_put(t.transaction, pointer(key), C.size_t(len(key)), pointer(value), C.size_t(len(value)), ms, &cErr)
	return failure(status, cErr)
}

// Delete takes the value of a key away when the transaction commits.
func (t *Transaction) Delete(key []byte) error {
	defer runtime.KeepAlive(t)
	if err := t.enter(); err != nil {
		return err
	}
	defer t.leave()
	var err *C.atoll_error
	return failure(C.atoll_transaction_delete(t.transaction, pointer(key), C.size_t(len(key)), &err), err)
}

// Scan is Store.Scan with the transaction's own writes. The range is read whole at once: give it a limit.
func (t *Transaction) Scan(r *Range) (*Scan, error) {
	defer runtime.KeepAlive(t)
	if err := t.enter(); err != nil {
		return nil, err
	}
	defer t.leave()
	lo, hi, flags, limit, err := r.bounds()
	if err != nil {
		return nil, err
	}
	var iter *C.atoll_iter
	var cErr *C.atoll_error
	status := C.transaction_scan(t.transaction, given(lo), pointer(lo), C.size_t(len(lo)), given(hi), pointer(hi), C.size_t(len(hi)),
		flags, limit, &iter, &cErr)
	if status != C.ATOLL_OK {
		return nil, failure(status, cErr)
	}
	return newScan(iter), nil
}

// Commit makes the writes visible together; ErrConflict if something the transaction has read has been written since it
// began: nothing was written, and running it again from its beginning may succeed. The transaction has ended in any case.
func (t *Transaction) Commit(durability Durability) error {
	defer runtime.KeepAlive(t)
	if err := t.enter(); err != nil {
		return err
	}
	defer t.leave()
	var err *C.atoll_error
	return failure(C.commit(t.transaction, C.uint32_t(durability), &err), err)
}

// Close ends the transaction, without writing anything unless it was committed. It waits for a call under way. Closing twice is
// allowed.
func (t *Transaction) Close() error {
	t.close(func() {
		runtime.SetFinalizer(t, nil)
		C.atoll_transaction_free(t.transaction)
	})
	return nil
}

// Transact runs body in a transaction and commits it; after a conflict again, until ctx ends. Body may run several times, and
// may change nothing but through its transaction. An error from it ends the transaction, with nothing written.
func (s *Store) Transact(ctx context.Context, durability Durability, body func(*Transaction) error) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := s.attempt(durability, body); !errors.Is(err, ErrConflict) {
			return err
		}
	}
}

func (s *Store) attempt(durability Durability, body func(*Transaction) error) error {
	transaction, err := s.Begin()
	if err != nil {
		return err
	}
	// Also when body panics.
	defer transaction.Close()
	if err := body(transaction); err != nil {
		return err
	}
	return transaction.Commit(durability)
}
