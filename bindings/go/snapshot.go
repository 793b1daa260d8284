package atoll

/*
#include <atoll.h>
*/
import "C"

import (
	"runtime"
	"sync"
)

// Snapshot is the store as it was. Any number of goroutines may use it at once. What it shows is kept until it is closed.
type Snapshot struct {
	store *Store
	// Held for reading during a call, so that Close does not take the snapshot from under one.
	lock     sync.RWMutex
	snapshot *C.atoll_snapshot
}

// Snapshot takes a snapshot of everything written before the call.
func (s *Store) Snapshot() (*Snapshot, error) {
	defer runtime.KeepAlive(s)
	made := &Snapshot{store: s}
	var err *C.atoll_error
	if status := C.atoll_snapshot_new(s.db, &made.snapshot, &err); status != C.ATOLL_OK {
		return nil, failure(status, err)
	}
	runtime.SetFinalizer(made, func(s *Snapshot) { C.atoll_snapshot_free(s.snapshot) })
	return made, nil
}

// LSN returns the position of the snapshot: everything below it is visible, and a Log of what came after it begins there. 0 after
// Close.
func (s *Snapshot) LSN() uint64 {
	s.lock.RLock()
	defer s.lock.RUnlock()
	return uint64(C.atoll_snapshot_lsn(s.snapshot))
}

// Get returns the value of a key as it was then; ErrNotFound if it had none.
func (s *Snapshot) Get(key []byte) ([]byte, error) {
	s.lock.RLock()
	defer s.lock.RUnlock()
	if s.snapshot == nil {
		return nil, ErrClosed
	}
	value, err := get(s.store.db, s.snapshot, key, make([]byte, 0, smallValue))
	return value[:len(value):len(value)], err
}

// GetMany is Store.GetMany, as it was then.
func (s *Snapshot) GetMany(keys [][]byte) ([][]byte, error) {
	s.lock.RLock()
	defer s.lock.RUnlock()
	if s.snapshot == nil {
		return nil, ErrClosed
	}
	return getMany(keys, ofStore(s.store.db, s.snapshot))
}

// Scan is Store.Scan, as it was then. The scan may outlive the snapshot.
func (s *Snapshot) Scan(r *Range) (*Scan, error) {
	s.lock.RLock()
	defer s.lock.RUnlock()
	if s.snapshot == nil {
		return nil, ErrClosed
	}
	return s.store.scan(s.snapshot, r)
}

// Close lets go of what the snapshot shows. Closing twice is allowed.
func (s *Snapshot) Close() error {
	s.lock.Lock()
	defer s.lock.Unlock()
	runtime.SetFinalizer(s, nil)
	C.atoll_snapshot_free(s.snapshot)
	s.snapshot = nil
	return nil
}
