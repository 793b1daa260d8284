package atoll

/*
#include <atoll.h>

typedef struct {
	atoll_status status;
	const uint8_t *data;
	size_t len;
	uint64_t first, next;
	atoll_error *err;
} frame_answer;

static frame_answer log_next(atoll_log_reader *reader, size_t max_bytes)
{
	frame_answer answer = {ATOLL_OK, NULL, 0, 0, 0, NULL};
	atoll_bytes records = {NULL, 0};
	answer.status = atoll_log_next(reader, max_bytes, -1, &records, &answer.first, &answer.next, &answer.err);
	answer.data = records.data;
	answer.len = records.len;
	return answer;
}

// Places within the frame rather than pointers: what C returns must not point into Go's memory.
typedef struct {
	atoll_status status;
	size_t key_at, key_len, value_at, value_len;
	uint64_t lsn, hlc, expires_at_ms;
	uint32_t kind, flags;
	atoll_log_cursor cursor;
	atoll_error *err;
} entry_answer;

static entry_answer log_entry(const uint8_t *records, size_t len, atoll_log_cursor cursor)
{
	entry_answer answer = {ATOLL_OK, 0, 0, 0, 0, 0, 0, 0, 0, 0, {0, 0}, NULL};
	atoll_log_entry entry;
	answer.status = atoll_log_entry_next(records, len, &cursor, &entry, &answer.err);
	answer.cursor = cursor;
	if (answer.status == ATOLL_OK) {
		answer.key_len = entry.key.len;
		answer.key_at = entry.key.len ? (size_t)(entry.key.data - records) : 0;
		answer.value_len = entry.value.len;
		answer.value_at = entry.value.len ? (size_t)(entry.value.data - records) : 0;
		answer.lsn = entry.lsn;
		answer.hlc = entry.hlc;
		answer.expires_at_ms = entry.expires_at_ms;
		answer.kind = entry.kind;
		answer.flags = entry.flags;
	}
	return answer;
}
*/
import "C"

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// FromNow makes Store.Log begin with what is written from now on.
const FromNow uint64 = C.ATOLL_LOG_FROM_NOW

// Frame is whole records of a store's log, as bytes that any language and any copy of the store understands.
type Frame struct {
	Records []byte
	// First is the position of the first record, Next where the log goes on behind the last one.
	First, Next uint64
}

// Change is one write in a log. Key and Value are parts of the frame.
type Change struct {
	Key []byte
	// Value is empty where Deleted.
	Value   []byte
	Deleted bool
	// LSN is its position, HLC its stamp.
	LSN, HLC uint64
	// ExpiresAt is when the value is gone; zero if it stays.
	ExpiresAt time.Time
	// MoreInBatch: the next change belongs to the same atomic batch.
	MoreInBatch bool
}

// Log is a place in the log of a store that moves on as it is read. The store keeps its log from there on: close it when it has
// served. One call of Next at a time; Close may come from any goroutine and ends it.
type Log struct {
	oneAtATime
	// Held while the reader is interrupted or freed.
	life    sync.Mutex
	reader  *C.atoll_log_reader
	closing atomic.Bool
}

// Log follows what is written to the store: from 0 all that the log still has, from the Next of a Frame, or FromNow.
//
// ErrTooOld if that part of the log is gone: scan the store then, and go on from the position of its snapshot.
func (s *Store) Log(from uint64) (*Log, error) {
	defer runtime.KeepAlive(s)
	made := &Log{}
	var err *C.atoll_error
	if status := C.atoll_log_open(s.db, C.uint64_t(from), &made.reader, &err); status != C.ATOLL_OK {
		return nil, failure(status, err)
	}
	runtime.SetFinalizer(made, func(l *Log) { C.atoll_log_free(l.reader) })
	return made, nil
}

func (l *Log) interrupt() {
	l.life.Lock()
	defer l.life.Unlock()
	// NULL once it has been freed, which C allows.
	C.atoll_log_interrupt(l.reader)
}

// Next waits for records and returns about maxBytes of them, at least one; 0 stands for 1 MiB. What it returns may not be durable yet.
//
// The context's error once it is done, ErrClosed once the log or its store has been closed.
func (l *Log) Next(ctx context.Context, maxBytes int) (Frame, error) {
	if err := ctx.Err(); err != nil {
		return Frame{}, err
	}
	if maxBytes < 0 {
		return Frame{}, &Error{Status: ErrInvalid.Status, Message: "maxBytes is below 0"}
	}
	if maxBytes == 0 {
		maxBytes = 1 << 20
	}
	if err := l.enter(); err != nil {
		return Frame{}, err
	}
	defer l.leave()
	if ctx.Done() != nil {
		over, gone := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(gone)
			select {
			case <-ctx.Done():
				l.interrupt()
			case <-over:
			}
		}()
		defer func() { close(over); <-gone }()
	}
	for {
		if l.closing.Load() {
			return Frame{}, ErrClosed
		}
		answer := C.log_next(l.reader, C.size_t(maxBytes))
		switch answer.status {
		case C.ATOLL_OK:
			return Frame{copied(answer.data, answer.len), uint64(answer.first), uint64(answer.next)}, nil
		case C.ATOLL_TIMEOUT:
			// An interrupt: by Close, by the context, or by one that came too late for an earlier call.
			if err := ctx.Err(); err != nil {
				return Frame{}, err
			}
		default:
			return Frame{}, failure(answer.status, answer.err)
		}
	}
}

// Close lets the log go and ends a Next that waits. Closing twice is allowed.
func (l *Log) Close() error {
	l.closing.Store(true)
	l.interrupt()
	l.close(func() {
		l.life.Lock()
		defer l.life.Unlock()
		runtime.SetFinalizer(l, nil)
		C.atoll_log_free(l.reader)
		l.reader = nil
	})
	return nil
}

// Changes returns the writes in a frame, in order. ErrCorrupt for bytes that are none.
func (f Frame) Changes() ([]Change, error) {
	var changes []Change
	var cursor C.atoll_log_cursor
	for {
		answer := C.log_entry(first(f.Records), C.size_t(len(f.Records)), cursor)
		if answer.status == C.ATOLL_END {
			return changes, nil
		}
		if answer.status != C.ATOLL_OK {
			return changes, failure(answer.status, answer.err)
		}
		cursor = answer.cursor
		if answer.kind != C.ATOLL_LOG_PUT && answer.kind != C.ATOLL_LOG_DELETE {
			continue
		}
		part := func(at, n C.size_t) []byte { return f.Records[at : at+n : at+n] }
		change := Change{
			Key:         part(answer.key_at, answer.key_len),
			Value:       part(answer.value_at, answer.value_len),
			Deleted:     answer.kind == C.ATOLL_LOG_DELETE,
			LSN:         uint64(answer.lsn),
			HLC:         uint64(answer.hlc),
			MoreInBatch: answer.flags&C.ATOLL_LOG_MORE_IN_BATCH != 0,
		}
		if answer.expires_at_ms != 0 {
			change.ExpiresAt = time.UnixMilli(int64(answer.expires_at_ms))
		}
		changes = append(changes, change)
	}
}

// Apply appends a frame of another store's log, as far as it is not there yet, to a store opened with Options.Replica; returns the
// position that it has got to. A frame may come any number of times. Not durable before Sync.
//
// ErrInvalid if something before the frame is missing, ErrCorrupt for bytes that are none, ErrStaleEpoch if the store has gone on by
// itself.
func (s *Store) Apply(records []byte) (uint64, error) {
	defer runtime.KeepAlive(s)
	var applied C.uint64_t
	var err *C.atoll_error
	status := C.atoll_log_apply(s.db, pointer(records), C.size_t(len(records)), &applied, &err)
	return uint64(applied), failure(status, err)
}
