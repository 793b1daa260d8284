package atoll

import (
	"sync"
	"sync/atomic"
)

// oneAtATime guards a handle of C's that serves one call at a time and is freed by Close.
//
// The library answers ATOLL_E_BUSY by itself while a call is under way, but it cannot know that a handle is being freed:
// that is what the lock is for.
type oneAtATime struct {
	lock   sync.Mutex
	closed atomic.Bool
}

// enter begins a call: ErrBusy while another one is under way, ErrClosed after Close. After nil the caller must leave.
func (o *oneAtATime) enter() error {
	if !o.lock.TryLock() {
		return ErrBusy
	}
	if o.closed.Load() {
		o.lock.Unlock()
		return ErrClosed
	}
	return nil
}

func (o *oneAtATime) leave() { o.lock.Unlock() }

// close waits for the call under way, and runs free the first time.
func (o *oneAtATime) close(free func()) {
	o.lock.Lock()
	defer o.lock.Unlock()
	if !o.closed.Swap(true) {
		free()
	}
}
