// Package atoll is a sharded, replicated key-value engine that lives inside the program.
//
// Open a Store, a map from bytes to bytes that survives, or OpenCluster, which keeps copies; route keys with a Router; order
// writes with a VectorClock, and settle those that did not know each other with a Resolver. Everything answers as in C, Python and
// SQL.
//
// Stores, clusters, sessions, snapshots, routers and resolvers may be used by any number of goroutines at once; batches,
// transactions and vector clocks serve one call at a time and return ErrBusy instead of racing. A Scan belongs to one goroutine.
//
// Close what has a Close method. Finalizers are a safety net, not a way to live: they run when the collector likes.
package atoll

/*
#include <atoll.h>

// Small structs by value spare Go an allocation for every out-parameter.
typedef struct { atoll_status status; size_t len; atoll_error *err; } len_answer;

static len_answer get_into(atoll_db *db, const atoll_snapshot *snapshot, const uint8_t *key, size_t n, uint8_t *to, size_t room)
{
	len_answer answer = {ATOLL_OK, 0, NULL};
	atoll_read_opts options = ATOLL_READ_OPTS_INIT;
	options.snapshot = snapshot;
	answer.status = atoll_get_into(db, snapshot ? &options : NULL, key, n, to, room, &answer.len, &answer.err);
	return answer;
}

static atoll_status put(atoll_db *db, uint32_t durability, uint64_t ttl_ms, const uint8_t *key, size_t n, const uint8_t *value, size_t m, atoll_error **err)
{
	atoll_write_opts options = ATOLL_WRITE_OPTS_INIT;
	options.durability = durability;
	options.ttl_ms = ttl_ms;
	return atoll_put(db, &options, key, n, value, m, err);
}

static atoll_status del(atoll_db *db, uint32_t durability, const void *key, size_t n, atoll_error **err)
{
	atoll_write_opts options = ATOLL_WRITE_OPTS_INIT;
	options.durability = durability;
	return atoll_delete(db, &options, key, n, err);
}

static atoll_status compare_and_set(atoll_db *db, uint32_t durability, uint64_t ttl_ms, const void *key, size_t n, int has_old,
                                    const void *old, size_t old_n, int has_value, const void *value, size_t m, atoll_error **err)
{
	atoll_write_opts options = ATOLL_WRITE_OPTS_INIT;
	atoll_expected expected = {ATOLL_EXPECT_ABSENT, 0, {NULL, 0}, 0, 0};
	atoll_bytes next = {(const uint8_t *)value, m};
	options.durability = durability;
	options.ttl_ms = ttl_ms;
	if (has_old) {
		expected.kind = ATOLL_EXPECT_VALUE;
		expected.value.data = (const uint8_t *)old;
		expected.value.len = old_n;
	}
	return atoll_compare_and_set(db, &options, key, n, &expected, has_value ? &next : NULL, err);
}

static len_answer cluster_multi_get(atoll_cluster *cluster, uint32_t consistency, const atoll_session *session, const void *token, size_t token_n,
                                    const uint8_t *keys, const uint32_t *offsets, size_t n, uint8_t *values, size_t room, uint64_t *ends,
                                    uint8_t *found)
{
	len_answer answer = {ATOLL_OK, 0, NULL};
	atoll_cluster_read_opts options = ATOLL_CLUSTER_READ_OPTS_INIT;
	options.consistency = consistency;
	options.session = session;
	options.token = token_n ? (const uint8_t *)token : NULL;
	options.token_len = token_n;
	answer.status = atoll_cluster_multi_get(cluster, &options, keys, offsets, n, values, room, ends, found, &answer.len, &answer.err);
	return answer;
}

static len_answer multi_get(atoll_db *db, const atoll_snapshot *snapshot, const uint8_t *keys, const uint32_t *offsets, size_t n,
                            uint8_t *values, size_t room, uint64_t *ends, uint8_t *found)
{
	len_answer answer = {ATOLL_OK, 0, NULL};
	atoll_read_opts options = ATOLL_READ_OPTS_INIT;
	options.snapshot = snapshot;
	answer.status = atoll_multi_get(db, snapshot ? &options : NULL, keys, offsets, n, values, room, ends, found, &answer.len, &answer.err);
	return answer;
}
*/
import "C"

import (
	"context"
	"encoding/json"
	"math"
	"runtime"
	"sync"
	"time"
)

// Durability says when a write may be acknowledged.
type Durability uint32

const (
	// Buffered writes survive the end of the process, kill -9 included.
	Buffered Durability = C.ATOLL_DURABILITY_BUFFERED
	// Synced writes are on the device.
	Synced Durability = C.ATOLL_DURABILITY_SYNCED
)

// Options of Open. The zero value is the defaults.
type Options struct {
	// MustExist refuses to make a store that is not there.
	MustExist bool
	// ReadOnly opens the store beside the process that writes it, and follows what that does. No other option goes with it.
	ReadOnly bool
	// Replica opens the store as a copy of another one, which takes frames of that one's Log by Apply, and no writes.
	Replica bool
	// Settings are further options by their names, as `atoll options` lists them: {"segment_max_bytes": "16MiB"}.
	Settings map[string]string
}

// Store is an open store. Any number of goroutines may use it at once.
type Store struct {
	db *C.atoll_db
}

// newOptions makes options of the table, to be freed with atoll_options_free. ErrInvalid for names and values it does not have.
func newOptions(settings map[string]string) (*C.atoll_options, error) {
	set := C.atoll_options_new()
	for name, value := range settings {
		if err := setOption(set, name, value); err != nil {
			C.atoll_options_free(set)
			return nil, err
		}
	}
	return set, nil
}

func setOption(set *C.atoll_options, name, value string) error {
	cName, wrong := cText("the option", name)
	if wrong != nil {
		return wrong
	}
	defer free(cName)
	cValue, wrong := cText("the value of "+name, value)
	if wrong != nil {
		return wrong
	}
	defer free(cValue)
	var err *C.atoll_error
	return failure(C.atoll_options_set(set, cName, cValue, &err), err)
}

// Open opens the store in a directory, and makes it if it is not there.
//
// It waits while a store that was not closed is checked; ctx is looked at before that. Errors: ErrLocked, which names the
// process that writes the store, ErrCorrupt, ErrDiskFull, ErrInvalid, ErrIO.
func Open(ctx context.Context, path string, options *Options) (*Store, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if options == nil {
		options = &Options{}
	}
	settings := map[string]string{}
	for name, value := range options.Settings {
		settings[name] = value
	}
	if options.MustExist {
		settings["create"] = "false"
	}
	if options.ReadOnly && len(settings) > 0 {
		return nil, &Error{Status: ErrInvalid.Status, Message: "ReadOnly goes with no other option: the process that writes the store sets them"}
	}
	if options.ReadOnly && options.Replica {
		return nil, &Error{Status: ErrInvalid.Status, Message: "a store is opened ReadOnly or as a Replica, not both"}
	}
	set, wrong := newOptions(settings)
	if wrong != nil {
		return nil, wrong
	}
	defer C.atoll_options_free(set)
	cPath, wrong := cText("the path", path)
	if wrong != nil {
		return nil, wrong
	}
	defer free(cPath)
	var db *C.atoll_db
	var err *C.atoll_error
	var status C.atoll_status
	if options.ReadOnly {
		status = C.atoll_db_open_reader(cPath, &db, &err)
	} else if options.Replica {
		status = C.atoll_db_open_replica(cPath, set, &db, &err)
	} else {
		status = C.atoll_db_open(cPath, set, &db, &err)
	}
	if status != C.ATOLL_OK {
		return nil, failure(status, err)
	}
	store := &Store{db: db}
	runtime.SetFinalizer(store, func(s *Store) { C.atoll_db_free(s.db) })
	return store, nil
}

// Close makes everything durable and closes the store; later calls on it, and on what was made from it, return ErrClosed.
// Closing twice is allowed.
func (s *Store) Close() error {
	defer runtime.KeepAlive(s)
	var err *C.atoll_error
	return failure(C.atoll_db_close(s.db, &err), err)
}

// smallValue is room that most values fit into.
const smallValue = 128

func get(db *C.atoll_db, snapshot *C.atoll_snapshot, key []byte, room []byte) ([]byte, error) {
	for {
		answer := C.get_into(db, snapshot, first(key), C.size_t(len(key)), first(room[:cap(room)]), C.size_t(cap(room)))
		switch answer.status {
		case C.ATOLL_OK:
			return room[:answer.len], nil
		case C.ATOLL_NOT_FOUND:
			return nil, ErrNotFound
		case C.ATOLL_BUFFER_TOO_SMALL:
			room = make([]byte, 0, answer.len)
		default:
			return nil, failure(answer.status, answer.err)
		}
	}
}

// Get returns the value of a key, in memory of its own; ErrNotFound if it has none.
func (s *Store) Get(key []byte) ([]byte, error) {
	defer runtime.KeepAlive(s)
	value, err := get(s.db, nil, key, make([]byte, 0, smallValue))
	return value[:len(value):len(value)], err
}

// GetInto is Get into room that is used again: the value stands in `room` if it fits its capacity.
func (s *Store) GetInto(key, room []byte) ([]byte, error) {
	defer runtime.KeepAlive(s)
	return get(s.db, nil, key, room[:0])
}

// scratch is what a GetMany needs and nobody sees afterwards, used again.
type scratch struct {
	keys    []byte
	offsets []C.uint32_t
	ends    []C.uint64_t
	found   []C.uint8_t
	values  []byte
}

// What is kept for the next call, in keys and in bytes of keys, and in bytes of values.
const (
	mostScratch = 64 << 10
	mostValues  = 1 << 20
)

var scratches = sync.Pool{New: func() any { return new(scratch) }}

func (s *scratch) release() {
	if cap(s.ends) <= mostScratch && cap(s.keys) <= mostScratch {
		scratches.Put(s)
	}
}

// fill lays keys end to end and makes room for the answers.
func (s *scratch) fill(keys [][]byte) error {
	s.keys, s.offsets = s.keys[:0], append(s.offsets[:0], 0)
	for _, key := range keys {
		s.keys = append(s.keys, key...)
		if uint64(len(s.keys)) > math.MaxUint32 {
			return &Error{Status: ErrInvalid.Status, Message: "the keys of one call have more than 4 GiB together"}
		}
		s.offsets = append(s.offsets, C.uint32_t(len(s.keys)))
	}
	if cap(s.ends) <= len(keys) {
		s.ends, s.found = make([]C.uint64_t, len(keys)+1), make([]C.uint8_t, len(keys)+1)
	}
	s.ends, s.found = s.ends[:len(keys)+1], s.found[:len(keys)+1]
	return nil
}

// reads is a call of C's that reads the keys of a scratch into values.
type reads func(s *scratch, n C.size_t, values []byte) C.len_answer

// getMany reads keys by a call of C's, again with more room where there was too little.
func getMany(keys [][]byte, read reads) ([][]byte, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	s := scratches.Get().(*scratch)
	defer s.release()
	if err := s.fill(keys); err != nil {
		return nil, err
	}
	room := s.values
	if wanted := smallValue * len(keys); cap(room) < wanted {
		room = make([]byte, wanted)
	}
	for {
		room = room[:cap(room)]
		if cap(room) <= mostValues {
			s.values = room
		}
		answer := read(s, C.size_t(len(keys)), room)
		if answer.status == C.ATOLL_BUFFER_TOO_SMALL {
			room = make([]byte, answer.len)
			continue
		}
		if answer.status != C.ATOLL_OK {
			return nil, failure(answer.status, answer.err)
		}
		values := room[:answer.len]
		if cap(room) <= mostValues {
			// Memory of their own, no longer than they are: appending spares the zeros that make would write first. It gives nil
			// for nothing, and an empty value is not nil.
			values = append(make([]byte, 0), values...)
		}
		answers := make([][]byte, len(keys))
		for i := range answers {
			if s.found[i] != 0 {
				// Capped, so that appending to one does not run into the next.
				answers[i] = values[s.ends[i]:s.ends[i+1]:s.ends[i+1]]
			}
		}
		return answers, nil
	}
}

// ofStore reads from a store, or from a snapshot of it.
func ofStore(db *C.atoll_db, snapshot *C.atoll_snapshot) reads {
	return func(s *scratch, n C.size_t, values []byte) C.len_answer {
		return C.multi_get(db, snapshot, first(s.keys), &s.offsets[0], n, first(values), C.size_t(len(values)), &s.ends[0], &s.found[0])
	}
}

// GetMany returns the values of many keys in their order, nil where there is none: several times as fast as single gets. The
// values share memory.
func (s *Store) GetMany(keys [][]byte) ([][]byte, error) {
	defer runtime.KeepAlive(s)
	return getMany(keys, ofStore(s.db, nil))
}

// GetMany returns the values of many keys in their order, nil where there is none; those of a shard are read together, from one copy, as
// fresh as `how` asks (nil: Strong). The values share memory.
func (c *Cluster) GetMany(ctx context.Context, keys [][]byte, how *Read) ([][]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	defer runtime.KeepAlive(c)
	defer runtime.KeepAlive(how)
	consistency, session, token := how.parts()
	return getMany(keys, func(s *scratch, n C.size_t, values []byte) C.len_answer {
		return C.cluster_multi_get(c.cluster, consistency, session, pointer(token), C.size_t(len(token)), first(s.keys), &s.offsets[0], n,
			first(values), C.size_t(len(values)), &s.ends[0], &s.found[0])
	})
}

// Write says how a write is done. The zero value is Buffered, and a value that stays.
type Write struct {
	Durability Durability
	// TTL takes the value away again by itself; 0: it stays.
	TTL time.Duration
}

func (w *Write) parts() (C.uint32_t, C.uint64_t, error) {
	if w == nil {
		return 0, 0, nil
	}
	ms, err := milliseconds(w.TTL)
	return C.uint32_t(w.Durability), ms, err
}

func milliseconds(ttl time.Duration) (C.uint64_t, error) {
	if ttl < 0 {
		return 0, &Error{Status: ErrInvalid.Status, Message: "a value cannot live for " + ttl.String()}
	}
	// At least one, so that a short life is not an endless one.
	return C.uint64_t((ttl + time.Millisecond - 1) / time.Millisecond), nil
}

// Put gives a key a value. How may be nil. Other goroutines see it when the call returns.
func (s *Store) Put(key, value []byte, how *Write) error {
	defer runtime.KeepAlive(s)
	durability, ttl, err := how.parts()
	if err != nil {
		return err
	}
	var cErr *C.atoll_error
	status := C.put(s.db, durability, ttl, first(key), C.size_t(len(key)), first(value), C.size_t(len(value)), &cErr)
	return failure(status, cErr)
}

// Delete takes the value of a key away; a key without one is no error.
func (s *Store) Delete(key []byte, how *Write) error {
	defer runtime.KeepAlive(s)
	durability, _, err := how.parts()
	if err != nil {
		return err
	}
	var cErr *C.atoll_error
	return failure(C.del(s.db, durability, pointer(key), C.size_t(len(key)), &cErr), cErr)
}

// CompareAndSet gives a key a value (nil takes it away) if it has the value `expected` (nil: if it has none), in one step.
// ErrConflict if it has not: nothing was written.
func (s *Store) CompareAndSet(key, expected, value []byte, how *Write) error {
	defer runtime.KeepAlive(s)
	durability, ttl, err := how.parts()
	if err != nil {
		return err
	}
	flag := func(bytes []byte) C.int {
		if bytes == nil {
			return 0
		}
		return 1
	}
	var cErr *C.atoll_error
	status := C.compare_and_set(s.db, durability, ttl, pointer(key), C.size_t(len(key)), flag(expected), pointer(expected),
		C.size_t(len(expected)), flag(value), pointer(value), C.size_t(len(value)), &cErr)
	return failure(status, cErr)
}

// Sync makes everything written before the call durable; ctx is looked at before it begins.
func (s *Store) Sync(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	defer runtime.KeepAlive(s)
	var err *C.atoll_error
	return failure(C.atoll_sync(s.db, nil, &err), err)
}

// Compact brings the tables of the store into as few runs as it can, now; ctx is looked at before it begins.
func (s *Store) Compact(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	defer runtime.KeepAlive(s)
	var err *C.atoll_error
	return failure(C.atoll_compact(s.db, &err), err)
}

// Stats returns figures: keys, segments, runs, tables, the bytes of each, how compaction has fared.
func (s *Store) Stats() (map[string]any, error) {
	defer runtime.KeepAlive(s)
	var buf *C.atoll_buf
	var err *C.atoll_error
	if status := C.atoll_stats_json(s.db, &buf, &err); status != C.ATOLL_OK {
		return nil, failure(status, err)
	}
	var figures map[string]any
	return figures, json.Unmarshal(taken(buf), &figures)
}

// Version returns the version of the engine.
func Version() string { return C.GoString(C.atoll_version()) }
