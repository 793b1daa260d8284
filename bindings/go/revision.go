package atoll

/*
#include "views.h"
#include <string.h>

typedef struct { atoll_status status; size_t len; uint64_t lsn, hlc, expires_at_ms; atoll_pin *pin; atoll_bytes value; atoll_error *err; } revision_answer;

// What fits into the room is copied in the same crossing; what does not is lent by a pin that the caller frees.
static revision_answer get_revision(atoll_db *db, const uint8_t *key, size_t n, uint8_t *room, size_t capacity)
{
	revision_answer answer = {ATOLL_OK, 0, 0, 0, 0, NULL, {NULL, 0}, NULL};
	atoll_bytes value = {NULL, 0};
	atoll_pin *pin = atoll_pin_new();
	answer.status = atoll_get(db, NULL, key, n, pin, &value, &answer.err);
	if (answer.status == ATOLL_OK)
		answer.status = atoll_pin_version(pin, &answer.lsn, &answer.hlc, &answer.expires_at_ms);
	if (answer.status == ATOLL_OK) {
		answer.len = value.len;
		if (value.len > capacity) {
			answer.pin = pin;
			answer.value = seen_by_go(value);
			return answer;
		}
		memcpy(room, value.data, value.len);
	}
	atoll_pin_free(pin);
	return answer;
}

static atoll_status set_revision(atoll_db *db, uint32_t durability, uint64_t ttl_ms, const void *key, size_t n, uint64_t lsn, uint64_t hlc,
                                 int has_value, const void *value, size_t m, atoll_error **err)
{
	atoll_write_opts options = ATOLL_WRITE_OPTS_INIT;
	atoll_expected expected = {ATOLL_EXPECT_VERSION, 0, {NULL, 0}, 0, 0};
	atoll_bytes next = {(const uint8_t *)value, m};
	options.durability = durability;
	options.ttl_ms = ttl_ms;
	expected.lsn = lsn;
	expected.hlc = hlc;
	return atoll_compare_and_set(db, &options, key, n, &expected, has_value ? &next : NULL, err);
}
*/
import "C"

import (
	"runtime"
	"time"
)

// Revision names the write that gave a key its value.
type Revision struct {
	// LSN is its position in the log, and HLC its time stamp.
	LSN, HLC uint64
	// ExpiresAt is when the value is gone; the zero time if it stays.
	ExpiresAt time.Time
}

// GetRevision is Get, with the write that gave the key its value: see SetIfRevision.
func (s *Store) GetRevision(key []byte) ([]byte, Revision, error) {
	defer runtime.KeepAlive(s)
	room := make([]byte, smallValue)
	answer := C.get_revision(s.db, first(key), C.size_t(len(key)), first(room), C.size_t(len(room)))
	switch answer.status {
	case C.ATOLL_OK:
	case C.ATOLL_NOT_FOUND:
		return nil, Revision{}, ErrNotFound
	default:
		return nil, Revision{}, failure(answer.status, answer.err)
	}
	revision := Revision{LSN: uint64(answer.lsn), HLC: uint64(answer.hlc)}
	if answer.expires_at_ms != 0 {
		revision.ExpiresAt = time.UnixMilli(int64(answer.expires_at_ms))
	}
	if answer.pin != nil {
		defer C.atoll_pin_free(answer.pin)
		return copied(answer.value.data, answer.value.len), revision, nil
	}
	return room[:answer.len:answer.len], revision, nil
}

// SetIfRevision gives a key a value (nil takes it away) if nobody has written the key since `revision`, in one step. ErrConflict if
// somebody has: nothing was written.
func (s *Store) SetIfRevision(key []byte, revision Revision, value []byte, how *Write) error {
	defer runtime.KeepAlive(s)
	durability, ttl, wrong := how.parts()
	if wrong != nil {
		return wrong
	}
	var err *C.atoll_error
	status := C.set_revision(s.db, durability, ttl, pointer(key), C.size_t(len(key)), C.uint64_t(revision.LSN), C.uint64_t(revision.HLC),
		given(value), pointer(value), C.size_t(len(value)), &err)
	return failure(status, err)
}
