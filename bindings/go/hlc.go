package atoll

/*
#include "views.h"

typedef struct { atoll_status status; uint64_t stamp; atoll_bytes node; atoll_error *err; } stamp_answer;

static stamp_answer stamp_from(int is_text, const void *form, size_t n)
{
	stamp_answer answer = {ATOLL_OK, 0, {NULL, 0}, NULL};
	answer.status = is_text ? atoll_hlc_from_text(form, n, &answer.stamp, &answer.node, &answer.err)
	                        : atoll_hlc_decode(form, n, &answer.stamp, &answer.node, &answer.err);
	answer.node = seen_by_go(answer.node);
	return answer;
}
*/
import "C"

import (
	"runtime"
	"time"
)

// Stamp is a time stamp of a hybrid logical clock: milliseconds since 1970 and a counter, packed, and the node that gave it.
type Stamp struct {
	// Packed is the milliseconds, shifted left by 16, and the counter: numeric order is order of time.
	Packed uint64
	Node   string
}

// StampAt returns the stamp of a millisecond since 1970 (48 bits) and a counter within it. ErrInvalid for more bits, and for a name
// that no vector clock could have.
func StampAt(wallMs uint64, counter uint16, node string) (Stamp, error) {
	var packed C.uint64_t
	var err *C.atoll_error
	if status := C.atoll_hlc_pack(C.uint64_t(wallMs), C.uint16_t(counter), &packed, &err); status != C.ATOLL_OK {
		return Stamp{}, failure(status, err)
	}
	stamp := Stamp{Packed: uint64(packed), Node: node}
	_, wrong := stamp.Encode()
	return stamp, wrong
}

func stampFrom(isText C.int, form []byte) (Stamp, error) {
	// In C's memory: the name is a view of it.
	memory := C.CBytes(form)
	defer free((*C.char)(memory))
	answer := C.stamp_from(isText, memory, C.size_t(len(form)))
	if answer.status != C.ATOLL_OK {
		return Stamp{}, failure(answer.status, answer.err)
	}
	return Stamp{Packed: uint64(answer.stamp), Node: string(copied(answer.node.data, answer.node.len))}, nil
}

// ParseStamp reads a stamp such as 2026-11-23T02:00:00.123Z/0007@node, and nothing else.
func ParseStamp(s string) (Stamp, error) { return stampFrom(1, []byte(s)) }

// DecodeStamp reads a stamp from its bytes, of any language. ErrCorrupt for anything but the one form.
func DecodeStamp(data []byte) (Stamp, error) { return stampFrom(0, data) }

// WallMs returns the milliseconds since 1970.
func (s Stamp) WallMs() uint64 { return s.Packed >> 16 }

// Counter returns the counter within the millisecond.
func (s Stamp) Counter() uint16 { return uint16(s.Packed) }

func (s Stamp) written(into func(room []byte, n *C.size_t, err **C.atoll_error) C.atoll_status) ([]byte, error) {
	room := make([]byte, 64+len(s.Node))
	for {
		var n C.size_t
		var err *C.atoll_error
		switch status := into(room, &n, &err); status {
		case C.ATOLL_OK:
			return room[:n], nil
		case C.ATOLL_BUFFER_TOO_SMALL:
			room = make([]byte, n)
		default:
			return nil, failure(status, err)
		}
	}
}

// Encode returns the bytes of the stamp, which every language can read.
func (s Stamp) Encode() ([]byte, error) {
	return s.written(func(room []byte, n *C.size_t, err **C.atoll_error) C.atoll_status {
		return C.atoll_hlc_encode_into(C.uint64_t(s.Packed), text(s.Node), C.size_t(len(s.Node)), pointer(room), C.size_t(len(room)), n, err)
	})
}

// String returns the text that ParseStamp reads; of a stamp with a name that cannot be, why it has none.
func (s Stamp) String() string {
	form, err := s.written(func(room []byte, n *C.size_t, err **C.atoll_error) C.atoll_status {
		return C.atoll_hlc_to_text(C.uint64_t(s.Packed), text(s.Node), C.size_t(len(s.Node)), pointer(room), C.size_t(len(room)), n, err)
	})
	if err != nil {
		return err.Error()
	}
	return string(form)
}

// CompareStamps returns -1, 0 or 1, as a stamp in its bytes comes before, with or after another: by time, then by name.
func CompareStamps(left, right []byte) (int, error) {
	var order C.int32_t
	var err *C.atoll_error
	status := C.atoll_hlc_compare_encoded(pointer(left), C.size_t(len(left)), pointer(right), C.size_t(len(right)), &order, &err)
	return int(order), failure(status, err)
}

// HybridClock is the clock of a node that stamps writes: never back, and never far from the wall clock. Any number of goroutines
// may use it at once.
type HybridClock struct {
	clock *C.atoll_hlc_clock
}

// Tick is a stamp that a clock has given.
type Tick struct {
	// Packed is Stamp.Packed.
	Packed uint64
	// Persist is 0, or a mark that must be durable before the stamp leaves the process.
	Persist uint64
	// Ahead is by how much the stamp is ahead of the wall clock: 0 in health.
	Ahead time.Duration
}

// NewHybridClock makes the clock of a node: every stamp is above mark, the last one that Send or Observe told to persist. A peer more
// than maxSkew ahead is set aside; a mark is due every reserve, which must be less. 0 and 0 stand for 500 and 200 ms.
func NewHybridClock(mark uint64, maxSkew, reserve time.Duration) (*HybridClock, error) {
	if maxSkew < 0 || reserve < 0 {
		return nil, &Error{Status: ErrInvalid.Status, Message: "the bounds of a clock are not below 0"}
	}
	var clock *C.atoll_hlc_clock
	var err *C.atoll_error
	status := C.atoll_hlc_clock_new(C.uint64_t(mark), C.uint64_t((maxSkew+time.Millisecond-1)/time.Millisecond), C.uint64_t((reserve+time.Millisecond-1)/time.Millisecond), &clock, &err)
	if status != C.ATOLL_OK {
		return nil, failure(status, err)
	}
	made := &HybridClock{clock: clock}
	runtime.SetFinalizer(made, func(c *HybridClock) { C.atoll_hlc_clock_free(c.clock) })
	return made, nil
}

// Now stands for the wall clock of this machine.
const Now uint64 = C.ATOLL_WALL_NOW

// Send stamps an event of this node: later than every stamp given or observed. wallMs is milliseconds since 1970, or Now.
func (c *HybridClock) Send(wallMs uint64) (Tick, error) {
	defer runtime.KeepAlive(c)
	var stamp, persist, ahead C.uint64_t
	var err *C.atoll_error
	status := C.atoll_hlc_clock_send(c.clock, C.uint64_t(wallMs), &stamp, &persist, &ahead, &err)
	return Tick{Packed: uint64(stamp), Persist: uint64(persist), Ahead: time.Duration(ahead) * time.Millisecond}, failure(status, err)
}

// Observe joins the stamp of a peer, and returns a mark to persist, or 0. ErrConflict: it is too far ahead, the clock is untouched,
// and what carries it is to be set aside.
func (c *HybridClock) Observe(packed, wallMs uint64) (persist uint64, err error) {
	defer runtime.KeepAlive(c)
	var due C.uint64_t
	var cErr *C.atoll_error
	status := C.atoll_hlc_clock_observe(c.clock, C.uint64_t(wallMs), C.uint64_t(packed), &due, &cErr)
	return uint64(due), failure(status, cErr)
}

// Last returns the last stamp given or observed, and the mark that must be durable by now.
func (c *HybridClock) Last() (last, mark uint64) {
	defer runtime.KeepAlive(c)
	var cLast, cMark C.uint64_t
	C.atoll_hlc_clock_last(c.clock, &cLast, &cMark, nil)
	return uint64(cLast), uint64(cMark)
}
