package atoll

import (
	"errors"
	"io/fs"
	"math/rand"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// C ends texts at a NUL: what stands before one must never be taken for the whole.
func TestTextsWithANulAreRefused(t *testing.T) {
	dir := t.TempDir()
	_, err := Open(background, filepath.Join(dir, "a\x00b"), nil)
	wants(t, err, ErrInvalid)
	if _, err := os.Stat(filepath.Join(dir, "a")); !errors.Is(err, fs.ErrNotExist) {
		t.Fatal("a directory that nobody has named was made")
	}
	for name, value := range map[string]string{"create\x00x": "true", "segment_max_bytes": "16MiB\x00x"} {
		_, err = Open(background, filepath.Join(dir, "c"), &Options{Settings: map[string]string{name: value}})
		wants(t, err, ErrInvalid)
	}
	_, err = NewRouter(RouterSpec{Algorithm: "ring\x00", Nodes: []string{"a"}})
	wants(t, err, ErrInvalid)
	_, err = NewRing([]string{"a"}, 0, "sha1\x00")
	wants(t, err, ErrInvalid)
}

func TestReadersRefuseOptionsTheyWouldIgnore(t *testing.T) {
	_, dir := open(t, nil)
	_, err := Open(background, dir, &Options{ReadOnly: true, Settings: map[string]string{"compaction": "manual"}})
	wants(t, err, ErrInvalid)
	_, err = Open(background, dir, &Options{ReadOnly: true, MustExist: true})
	wants(t, err, ErrInvalid)
}

// 256 entries fill a page to the last offset.
func TestScansHaveNoEntryBeforeTheirFirstAndAfterTheirLast(t *testing.T) {
	store, _ := open(t, nil)
	for i := 0; i < pageEntries; i++ {
		must(t, store.Put([]byte{byte(i)}, []byte{1}, nil))
	}
	scan, err := store.Scan(nil)
	must(t, err)
	none := func(when string) {
		t.Helper()
		if scan.Key() != nil || scan.Value() != nil {
			t.Fatalf("an entry %s", when)
		}
	}
	none("before the first Next")
	n := 0
	for scan.Next() {
		n++
	}
	if n != pageEntries {
		t.Fatal(n)
	}
	none("after the last one")
	must(t, scan.Close())
	none("after Close")
	scan, err = store.Scan(nil)
	must(t, err)
	if !scan.Next() {
		t.Fatal(scan.Err())
	}
	must(t, scan.Close())
	if scan.Next() {
		t.Fatal("a closed scan goes on with what it had copied")
	}
	must(t, scan.Err())
}

func TestErrorsOfTheSystemAreItsOwn(t *testing.T) {
	_, err := Open(background, "/proc/none/store", nil)
	wants(t, err, ErrIO)
	wants(t, err, syscall.ENOENT)
	wants(t, err, fs.ErrNotExist)
	var full *Error
	if !errors.As(err, &full) || full.Errno != int(syscall.ENOENT) || full.Status.String() != "ATOLL_E_IO" {
		t.Fatalf("%#v", full)
	}
	if errors.Is(ErrNotFound, fs.ErrNotExist) || Status(12345).String() != "ATOLL_(unknown)" || Order(-1).String() != "no order" {
		t.Fatal("numbers without a meaning have got one")
	}
}

func TestNoNodesAreGivenWhenNoneAreAsked(t *testing.T) {
	ring, err := NewRing([]string{"a", "b"}, 0, "")
	must(t, err)
	if nodes, err := ring.Nodes([]byte("k"), 0); err != nil || len(nodes) != 0 {
		t.Fatal(nodes, err)
	}
	jump, err := NewJump(4)
	must(t, err)
	_, err = jump.Nodes([]byte("k"), 0)
	wants(t, err, ErrInvalid)
}

func TestATransactionEndsWhenItsBodyPanics(t *testing.T) {
	store, _ := open(t, nil)
	var kept *Transaction
	func() {
		defer func() { recover() }()
		store.Transact(background, Buffered, func(transaction *Transaction) error {
			kept = transaction
			panic("on purpose")
		})
	}()
	wants(t, kept.Put([]byte("k"), nil, 0), ErrClosed)
}

func TestClosedBatchesAreClosed(t *testing.T) {
	store, _ := open(t, nil)
	batch := store.Batch()
	must(t, batch.Put([]byte("k"), nil, 0))
	must(t, batch.Close())
	must(t, batch.Close())
	batch.Clear()
	wants(t, batch.Put([]byte("k"), nil, 0), ErrClosed)
	wants(t, batch.Delete([]byte("k")), ErrClosed)
	wants(t, batch.Write(Buffered), ErrClosed)
	if batch.Len() != 0 {
		t.Fatal(batch.Len())
	}
}

// What serves one goroutine at a time, used by four at once that close it in the middle. A transaction that was freed under a
// call once ended the process here.
func TestHandlesAreClosedUnderThoseWhoUseThem(t *testing.T) {
	store, _ := open(t, nil)
	big := []byte(strings.Repeat("v", 1000))
	allowed := func(err error) {
		if err != nil && !errors.Is(err, ErrBusy) && !errors.Is(err, ErrClosed) && !errors.Is(err, ErrConflict) && !errors.Is(err, ErrNotFound) {
			t.Error(err)
		}
	}
	for round := 0; round < 100; round++ {
		transaction, err := store.Begin()
		must(t, err)
		snapshot, err := store.Snapshot()
		must(t, err)
		batch := store.Batch()
		var group sync.WaitGroup
		for worker := 0; worker < 4; worker++ {
			group.Add(1)
			go func(random *rand.Rand) {
				defer group.Done()
				for i := 0; i < 20; i++ {
					var err error
					switch random.Intn(12) {
					case 0, 1:
						err = transaction.Put([]byte("a"), big, 0)
					case 2:
						_, err = transaction.Get([]byte("a"))
					case 3:
						var scan *Scan
						if scan, err = transaction.Scan(nil); err == nil {
							scan.Next()
						}
					case 4:
						if random.Intn(4) == 0 {
							err = transaction.Commit(Buffered)
						}
					case 5, 6:
						err = batch.Put([]byte("b"), big, 0)
					case 7:
						err = batch.Write(Buffered)
					case 8:
						batch.Clear()
					case 9, 10:
						_, err = snapshot.Get([]byte("b"))
					default:
						if i > 10 {
							transaction.Close()
							batch.Close()
							snapshot.Close()
						}
					}
					allowed(err)
				}
			}(rand.New(rand.NewSource(int64(4*round + worker))))
		}
		group.Wait()
		transaction.Close()
		batch.Close()
		snapshot.Close()
	}
}

// Random calls from several goroutines while the store itself is closed and opened.
func TestAStoreIsClosedUnderThoseWhoUseIt(t *testing.T) {
	for round := 0; round < 10; round++ {
		dir := t.TempDir()
		store, err := Open(background, dir, nil)
		must(t, err)
		var group sync.WaitGroup
		for worker := 0; worker < 4; worker++ {
			group.Add(1)
			go func(random *rand.Rand) {
				defer group.Done()
				for i := 0; i < 100; i++ {
					key := []byte{byte(random.Intn(8))}
					var err error
					switch random.Intn(8) {
					case 0:
						err = store.Put(key, key, nil)
					case 1:
						_, err = store.Get(key)
					case 2:
						_, err = store.GetMany([][]byte{key, nil, key})
					case 3:
						var scan *Scan
						if scan, err = store.Scan(nil); err == nil {
							for scan.Next() {
							}
							err = scan.Err()
							scan.Close()
						}
					case 4:
						var snapshot *Snapshot
						if snapshot, err = store.Snapshot(); err == nil {
							_, err = snapshot.Get(key)
						}
					case 5:
						err = store.Transact(background, Buffered, func(transaction *Transaction) error {
							return transaction.Put(key, key, 0)
						})
					case 6:
						err = store.Sync(background)
					default:
						if i > 60 {
							err = store.Close()
						}
					}
					if err != nil && !errors.Is(err, ErrClosed) && !errors.Is(err, ErrNotFound) {
						t.Error(err)
					}
				}
			}(rand.New(rand.NewSource(int64(4*round + worker))))
		}
		group.Wait()
		must(t, store.Close())
	}
}

func TestDamagedBytesAreErrors(t *testing.T) {
	ring, err := NewRing([]string{"a", "b=2"}, 8, "")
	must(t, err)
	good, err := ring.Encode()
	must(t, err)
	clock, err := ParseVectorClock(`{"a":1,"섬":3}`)
	must(t, err)
	clockBytes, err := clock.Encode()
	must(t, err)
	random := rand.New(rand.NewSource(1))
	for i := 0; i < 2000; i++ {
		for _, original := range [][]byte{good, clockBytes} {
			bad := append([]byte(nil), original...)
			for n := 1 + random.Intn(3); n > 0; n-- {
				bad[random.Intn(len(bad))] ^= byte(1 + random.Intn(255))
			}
			bad = bad[:random.Intn(len(bad)+1)]
			if router, err := DecodeRouter(bad); err == nil {
				router.Node(nil)
			} else if !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrInvalid) && !errors.Is(err, ErrUnsupported) {
				t.Fatal(err)
			}
			if clock, err := DecodeVectorClock(bad); err == nil {
				_ = clock.String()
			} else if !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrInvalid) && !errors.Is(err, ErrUnsupported) {
				t.Fatal(err)
			}
		}
	}
}
