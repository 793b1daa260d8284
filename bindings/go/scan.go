package atoll

/*
#include <atoll.h>

static atoll_range range_of(int has_lo, const void *lo, size_t lo_n, int has_hi, const void *hi, size_t hi_n, uint32_t flags, uint64_t limit)
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
	return range;
}

// The bounds stay arguments, so that no pointer of Go's is stored where Go can see it as C memory.
static atoll_status scan(atoll_db *db, const atoll_snapshot *snapshot, int has_lo, const void *lo, size_t lo_n, int has_hi,
                         const void *hi, size_t hi_n, uint32_t flags, uint64_t limit, atoll_iter **iter, atoll_error **err)
{
	atoll_range range = range_of(has_lo, lo, lo_n, has_hi, hi, hi_n, flags, limit);
	atoll_read_opts options = ATOLL_READ_OPTS_INIT;
	options.snapshot = snapshot;
	return atoll_scan(db, &options, &range, iter, err);
}

static atoll_status delete_range(atoll_db *db, uint32_t durability, int has_lo, const void *lo, size_t lo_n, int has_hi, const void *hi,
                                 size_t hi_n, uint32_t flags, uint64_t limit, uint64_t *deleted, atoll_error **err)
{
	atoll_range range = range_of(has_lo, lo, lo_n, has_hi, hi, hi_n, flags, limit);
	atoll_write_opts options = ATOLL_WRITE_OPTS_INIT;
	options.durability = durability;
	return atoll_delete_range(db, &options, &range, deleted, err);
}

static atoll_status cluster_delete_range(atoll_cluster *cluster, uint32_t durability, int has_lo, const void *lo, size_t lo_n, int has_hi,
                                         const void *hi, size_t hi_n, uint32_t flags, uint64_t limit, uint64_t *deleted, atoll_error **err)
{
	atoll_range range = range_of(has_lo, lo, lo_n, has_hi, hi, hi_n, flags, limit);
	atoll_cluster_write_opts options = ATOLL_CLUSTER_WRITE_OPTS_INIT;
	options.durability = durability;
	return atoll_cluster_delete_range(cluster, &options, &range, deleted, NULL, err);
}

static atoll_status approximate(atoll_db *db, atoll_cluster *cluster, uint32_t slot, int has_lo, const void *lo, size_t lo_n, int has_hi,
                                const void *hi, size_t hi_n, uint32_t flags, uint64_t limit, atoll_approximate *answer, atoll_error **err)
{
	const atoll_approximate fresh = ATOLL_APPROXIMATE_INIT;
	atoll_range range = range_of(has_lo, lo, lo_n, has_hi, hi, hi_n, flags, limit);
	*answer = fresh;
	return cluster ? atoll_cluster_count_approximate(cluster, &range, slot, answer, err) : atoll_count_approximate(db, &range, answer, err);
}
*/
import "C"

import (
	"context"
	"runtime"
	"unsafe"
)

// Range says which keys a scan shows. The zero value is all of them.
type Range struct {
	// Start is the first key, inclusive; nil for the first one there is.
	Start []byte
	// End is where the range ends, exclusive; nil for no end.
	End []byte
	// Prefix shows the keys that begin with it; Start and End must be nil then.
	Prefix []byte
	// Reverse goes from the end of the range to its start.
	Reverse bool
	// Limit ends the scan after so many entries; 0 for all.
	Limit uint64
}

func (r *Range) bounds() (lo []byte, hi []byte, flags C.uint32_t, limit C.uint64_t, err error) {
	if r == nil {
		return nil, nil, 0, 0, nil
	}
	lo, hi, limit = r.Start, r.End, C.uint64_t(r.Limit)
	if r.Reverse {
		flags |= C.ATOLL_RANGE_REVERSE
	}
	if r.Prefix != nil {
		if lo != nil || hi != nil {
			return nil, nil, 0, 0, &Error{Status: ErrInvalid.Status, Message: "give a Range a Prefix, or Start and End"}
		}
		lo, flags = r.Prefix, flags|C.ATOLL_RANGE_PREFIX
	}
	return lo, hi, flags, limit, nil
}

func given(bytes []byte) C.int {
	if bytes == nil {
		return 0
	}
	return 1
}

const (
	pageEntries = 256
	pageBytes   = 256 << 10
)

// Scan is keys in order, as they were when it began. One goroutine at a time.
//
//	scan, err := store.Scan(&atoll.Range{Prefix: []byte("user:")})
//	...
//	defer scan.Close()
//	for scan.Next() {
//		use(scan.Key(), scan.Value())
//	}
//	err = scan.Err()
type Scan struct {
	oneAtATime
	iter    *C.atoll_iter
	buffer  []byte
	offsets []C.uint32_t
	n, at   int
	over    bool
	err     error
}

func newScan(iter *C.atoll_iter) *Scan {
	scan := &Scan{iter: iter, at: -1}
	runtime.SetFinalizer(scan, func(s *Scan) { C.atoll_iter_free(s.iter) })
	return scan
}

func (s *Store) scan(snapshot *C.atoll_snapshot, r *Range) (*Scan, error) {
	defer runtime.KeepAlive(s)
	lo, hi, flags, limit, err := r.bounds()
	if err != nil {
		return nil, err
	}
	var iter *C.atoll_iter
	var cErr *C.atoll_error
	status := C.scan(s.db, snapshot, given(lo), pointer(lo), C.size_t(len(lo)), given(hi), pointer(hi), C.size_t(len(hi)), flags,
		limit, &iter, &cErr)
	if status != C.ATOLL_OK {
		return nil, failure(status, cErr)
	}
	return newScan(iter), nil
}

// Scan begins a scan of a range, nil for all keys. What is written while it goes on does not show.
func (s *Store) Scan(r *Range) (*Scan, error) { return s.scan(nil, r) }

// Next goes to the next entry; false at the end and after an error: see Err.
func (s *Scan) Next() bool {
	if s.over || s.closed.Load() {
		return false
	}
	s.at++
	if s.at < s.n || s.turn() {
		return true
	}
	s.over = true
	return false
}

// turn copies the next entries out of C, many at a time: a crossing costs more than an entry.
func (s *Scan) turn() bool {
	defer runtime.KeepAlive(s)
	if err := s.enter(); err != nil {
		s.err = err
		return false
	}
	defer s.leave()
	if s.buffer == nil {
		s.buffer = make([]byte, pageBytes)
		s.offsets = make([]C.uint32_t, 2*pageEntries+1)
	}
	for {
		var n, needed C.size_t
		var err *C.atoll_error
		status := C.atoll_iter_next_packed(s.iter, (*C.uint8_t)(unsafe.Pointer(&s.buffer[0])), C.size_t(len(s.buffer)), &s.offsets[0],
			pageEntries, &n, &needed, &err)
		switch status {
		case C.ATOLL_OK:
			s.n, s.at = int(n), 0
			return true
		case C.ATOLL_BUFFER_TOO_SMALL:
			s.buffer = make([]byte, needed)
		case C.ATOLL_END:
			return false
		default:
			s.err = failure(status, err)
			return false
		}
	}
}

// Seek goes to a key, or to the next one there is in the direction of the scan, within its range: Next shows it. The limit counts
// anew. ErrUnsupported for a scan of a transaction or of a cluster.
func (s *Scan) Seek(key []byte) error {
	defer runtime.KeepAlive(s)
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	var err *C.atoll_error
	if status := C.atoll_iter_seek(s.iter, pointer(key), C.size_t(len(key)), &err); status != C.ATOLL_OK {
		return failure(status, err)
	}
	s.n, s.at, s.over, s.err = 0, -1, false, nil
	return nil
}

// piece returns key (0) or value (1) of the entry; nil where there is none: before the first Next and after the last.
func (s *Scan) piece(which int) []byte {
	if s.at < 0 || s.at >= s.n {
		return nil
	}
	from, to := s.offsets[2*s.at+which], s.offsets[2*s.at+which+1]
	return s.buffer[from:to:to]
}

// Key returns the key of the entry, valid until Next; nil if Next has not said that there is one.
func (s *Scan) Key() []byte { return s.piece(0) }

// Value returns the value of the entry, valid until Next; nil if Next has not said that there is one.
func (s *Scan) Value() []byte { return s.piece(1) }

// Err returns what ended the scan before its end.
func (s *Scan) Err() error { return s.err }

// Close ends the scan; Next is false from then on. It waits for a call under way. Closing twice is allowed.
func (s *Scan) Close() error {
	s.close(func() {
		runtime.SetFinalizer(s, nil)
		C.atoll_iter_free(s.iter)
	})
	return nil
}

// DeleteRange takes away the values of all keys in a range, whose Limit and Reverse must be zero, and returns how many there were.
//
// Not one step: what is written into the range meanwhile may stay or go, and after an error some may have gone. Ctx is looked at before
// it begins.
func (s *Store) DeleteRange(ctx context.Context, r *Range, how *Write) (uint64, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	defer runtime.KeepAlive(s)
	lo, hi, flags, limit, err := r.bounds()
	if err != nil {
		return 0, err
	}
	durability, ttl, err := how.parts()
	if err != nil {
		return 0, err
	}
	if ttl != 0 {
		return 0, &Error{Status: ErrInvalid.Status, Message: "a deletion takes no TTL"}
	}
	var deleted C.uint64_t
	var cErr *C.atoll_error
	status := C.delete_range(s.db, durability, given(lo), pointer(lo), C.size_t(len(lo)), given(hi), pointer(hi), C.size_t(len(hi)), flags,
		limit, &deleted, &cErr)
	return uint64(deleted), failure(status, cErr)
}

// DeleteRange is Store.DeleteRange for a cluster.
func (c *Cluster) DeleteRange(ctx context.Context, r *Range, how *ClusterWrite) (uint64, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	defer runtime.KeepAlive(c)
	lo, hi, flags, limit, err := r.bounds()
	if err != nil {
		return 0, err
	}
	durability, err := how.withoutTTL("a deletion")
	if err != nil {
		return 0, err
	}
	var deleted C.uint64_t
	var cErr *C.atoll_error
	status := C.cluster_delete_range(c.cluster, durability, given(lo), pointer(lo), C.size_t(len(lo)), given(hi), pointer(hi),
		C.size_t(len(hi)), flags, limit, &deleted, &cErr)
	return uint64(deleted), failure(status, cErr)
}

// Approximate is about how many records and bytes there are, and how far that may be off.
type Approximate struct {
	Records, Bytes, RecordsError, BytesError uint64
}

func approximate(db *C.atoll_db, cluster *C.atoll_cluster, slot C.uint32_t, r *Range) (*Approximate, error) {
	lo, hi, flags, limit, err := r.bounds()
	if err != nil {
		return nil, err
	}
	var answer C.atoll_approximate
	var cErr *C.atoll_error
	status := C.approximate(db, cluster, slot, given(lo), pointer(lo), C.size_t(len(lo)), given(hi), pointer(hi), C.size_t(len(hi)), flags, limit,
		&answer, &cErr)
	if status != C.ATOLL_OK {
		return nil, failure(status, cErr)
	}
	return &Approximate{
		Records: uint64(answer.records), Bytes: uint64(answer.bytes),
		RecordsError: uint64(answer.records_error), BytesError: uint64(answer.bytes_error),
	}, nil
}

// Approximate tells about how many records and bytes a range holds, from samples; it takes milliseconds however large that is.
func (s *Store) Approximate(r *Range) (*Approximate, error) {
	defer runtime.KeepAlive(s)
	return approximate(s.db, nil, 0, r)
}

// AnySlot stands for every slot.
const AnySlot uint32 = C.ATOLL_SLOT_ANY

// Approximate is Store.Approximate for a cluster: of every slot by AnySlot, or of one.
func (c *Cluster) Approximate(r *Range, slot uint32) (*Approximate, error) {
	defer runtime.KeepAlive(c)
	return approximate(nil, c.cluster, C.uint32_t(slot), r)
}
