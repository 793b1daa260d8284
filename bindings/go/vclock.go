package atoll

/*
#include "views.h"

static atoll_status clock_entry(const atoll_vclock *clock, size_t i, atoll_bytes *node, uint64_t *count, atoll_error **err)
{
	atoll_status status = atoll_vclock_entry(clock, i, node, count, err);
	if (status == ATOLL_OK)
		*node = seen_by_go(*node);
	return status;
}
*/
import "C"

import (
	"math"
	"runtime"
)

// Order is how two vector clocks stand to each other.
type Order int32

const (
	// Equal clocks know the same writes.
	Equal Order = C.ATOLL_VC_EQUAL
	// Before: the first came before the second.
	Before Order = C.ATOLL_VC_BEFORE
	// After: the first came after the second.
	After Order = C.ATOLL_VC_AFTER
	// Concurrent clocks do not know of each other.
	Concurrent Order = C.ATOLL_VC_CONCURRENT
)

// String returns "equal", "before", "after" or "concurrent".
func (o Order) String() string {
	names := [...]string{"equal", "before", "after", "concurrent"}
	if o < 0 || int(o) >= len(names) {
		return "no order"
	}
	return names[o]
}

// VectorClock is for each node the number of its writes that are known. One goroutine at a time.
type VectorClock struct {
	clock *C.atoll_vclock
}

func newClock(clock *C.atoll_vclock) *VectorClock {
	made := &VectorClock{clock: clock}
	runtime.SetFinalizer(made, func(v *VectorClock) { C.atoll_vclock_free(v.clock) })
	return made
}

// NewVectorClock makes an empty clock.
func NewVectorClock() *VectorClock { return newClock(C.atoll_vclock_new()) }

// ParseVectorClock makes a clock from text such as {"A":1,"B":3}.
func ParseVectorClock(s string) (*VectorClock, error) {
	var clock *C.atoll_vclock
	var err *C.atoll_error
	if status := C.atoll_vclock_from_text(text(s), C.size_t(len(s)), &clock, &err); status != C.ATOLL_OK {
		return nil, failure(status, err)
	}
	return newClock(clock), nil
}

// DecodeVectorClock makes a clock from its bytes, of any language.
func DecodeVectorClock(data []byte) (*VectorClock, error) {
	var clock *C.atoll_vclock
	var err *C.atoll_error
	if status := C.atoll_vclock_decode(pointer(data), C.size_t(len(data)), &clock, &err); status != C.ATOLL_OK {
		return nil, failure(status, err)
	}
	return newClock(clock), nil
}

// VectorClockOf makes a clock of the counts of nodes. ErrInvalid for a name that no node could have.
func VectorClockOf(counts map[string]uint64) (*VectorClock, error) {
	names, offsets, counters := []byte(nil), []C.uint32_t{0}, make([]C.uint64_t, 0, len(counts)+1)
	for name, count := range counts {
		names = append(names, name...)
		if uint64(len(names)) > math.MaxUint32 {
			return nil, &Error{Status: ErrInvalid.Status, Message: "the names of one clock have more than 4 GiB together"}
		}
		offsets, counters = append(offsets, C.uint32_t(len(names))), append(counters, C.uint64_t(count))
	}
	n := len(counters)
	// So that there is an element to point to.
	counters = append(counters, 0)
	var clock *C.atoll_vclock
	var err *C.atoll_error
	if status := C.atoll_vclock_from_entries(first(names), &offsets[0], &counters[0], C.size_t(n), &clock, &err); status != C.ATOLL_OK {
		return nil, failure(status, err)
	}
	return newClock(clock), nil
}

// Counts returns the count of every node that has one.
func (v *VectorClock) Counts() (map[string]uint64, error) {
	defer runtime.KeepAlive(v)
	counts := map[string]uint64{}
	for i := C.size_t(0); ; i++ {
		var node C.atoll_bytes
		var count C.uint64_t
		var err *C.atoll_error
		switch status := C.clock_entry(v.clock, i, &node, &count, &err); status {
		case C.ATOLL_OK:
			counts[string(copied(node.data, node.len))] = uint64(count)
		case C.ATOLL_END:
			return counts, nil
		default:
			return nil, failure(status, err)
		}
	}
}

// Clone returns a clock of its own with the same counts.
func (v *VectorClock) Clone() *VectorClock {
	defer runtime.KeepAlive(v)
	return newClock(C.atoll_vclock_clone(v.clock))
}

// Tick counts one more write of a node, and returns its new count.
func (v *VectorClock) Tick(node string) (uint64, error) {
	defer runtime.KeepAlive(v)
	var count C.uint64_t
	var err *C.atoll_error
	status := C.atoll_vclock_tick(v.clock, text(node), C.size_t(len(node)), &count, &err)
	return uint64(count), failure(status, err)
}

// Get returns the count of a node, 0 for one that is not there.
func (v *VectorClock) Get(node string) (uint64, error) {
	defer runtime.KeepAlive(v)
	var count C.uint64_t
	var err *C.atoll_error
	status := C.atoll_vclock_get(v.clock, text(node), C.size_t(len(node)), &count, &err)
	return uint64(count), failure(status, err)
}

// Merge raises every count to that of another clock.
func (v *VectorClock) Merge(other *VectorClock) error {
	defer runtime.KeepAlive(v)
	defer runtime.KeepAlive(other)
	var err *C.atoll_error
	return failure(C.atoll_vclock_merge(v.clock, other.clock, &err), err)
}

// Compare tells how the clock stands to another one.
func (v *VectorClock) Compare(other *VectorClock) (Order, error) {
	defer runtime.KeepAlive(v)
	defer runtime.KeepAlive(other)
	var answer C.int32_t
	var err *C.atoll_error
	status := C.atoll_vclock_compare(v.clock, other.clock, &answer, &err)
	return Order(answer), failure(status, err)
}

// CompareVectorClocks is VectorClock.Compare of clocks in their bytes, without making any. ErrCorrupt if either is none.
func CompareVectorClocks(left, right []byte) (Order, error) {
	var answer C.int32_t
	var err *C.atoll_error
	status := C.atoll_vclock_compare_encoded(pointer(left), C.size_t(len(left)), pointer(right), C.size_t(len(right)), &answer, &err)
	return Order(answer), failure(status, err)
}

// Encode returns the bytes of the clock, which every language and SQL can read.
func (v *VectorClock) Encode() ([]byte, error) {
	defer runtime.KeepAlive(v)
	var buf *C.atoll_buf
	var err *C.atoll_error
	if status := C.atoll_vclock_encode(v.clock, &buf, &err); status != C.ATOLL_OK {
		return nil, failure(status, err)
	}
	return taken(buf), nil
}

// String returns the clock as JSON with sorted names and no spaces, and what is wrong in place of it if another goroutine uses
// the clock.
func (v *VectorClock) String() string {
	defer runtime.KeepAlive(v)
	var buf *C.atoll_buf
	var err *C.atoll_error
	if status := C.atoll_vclock_to_text(v.clock, &buf, &err); status != C.ATOLL_OK {
		return failure(status, err).Error()
	}
	return string(taken(buf))
}
