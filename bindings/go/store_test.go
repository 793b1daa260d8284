package atoll

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

var background = context.Background()

func open(t testing.TB, options *Options) (*Store, string) {
	t.Helper()
	dir := t.TempDir()
	store, err := Open(background, dir, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	return store, dir
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wants(t testing.TB, err, wanted error) {
	t.Helper()
	if !errors.Is(err, wanted) {
		t.Fatalf("%v instead of %v", err, wanted)
	}
}

func entries(t testing.TB, scan *Scan, err error) string {
	t.Helper()
	must(t, err)
	defer scan.Close()
	var all []string
	for scan.Next() {
		all = append(all, fmt.Sprintf("%s=%s", scan.Key(), scan.Value()))
	}
	must(t, scan.Err())
	return strings.Join(all, " ")
}

func TestValuesOfAnyLengthComeBack(t *testing.T) {
	store, _ := open(t, nil)
	for _, key := range [][]byte{nil, {}, {0}, []byte("섬"), bytes.Repeat([]byte("k"), 65535)} {
		for _, n := range []int{0, 1, 511, 512, 513, 10 << 20} {
			value := bytes.Repeat([]byte("v"), n)
			must(t, store.Put(key, value, nil))
			found, err := store.Get(key)
			must(t, err)
			if !bytes.Equal(found, value) {
				t.Fatalf("%d bytes instead of %d", len(found), n)
			}
			room := make([]byte, 0, 600)
			found, err = store.GetInto(key, room)
			must(t, err)
			if !bytes.Equal(found, value) {
				t.Fatal("GetInto gives another value")
			}
			many, err := store.GetMany([][]byte{key, []byte("none"), key})
			must(t, err)
			if !bytes.Equal(many[0], value) || many[1] != nil || !bytes.Equal(many[2], value) {
				t.Fatal("GetMany gives another value")
			}
		}
	}
	wants(t, store.Put(make([]byte, 65536), nil, nil), ErrInvalid)
	_, err := store.Get([]byte("none"))
	wants(t, err, ErrNotFound)
	must(t, store.Delete([]byte("none"), nil))
	if many, err := store.GetMany(nil); err != nil || many != nil {
		t.Fatal("nothing of nothing")
	}
}

func TestBatchesScansAndSnapshots(t *testing.T) {
	store, _ := open(t, nil)
	batch := store.Batch()
	for i := 0; i < 1000; i++ {
		must(t, batch.Put([]byte(fmt.Sprintf("key-%04d", i)), []byte(fmt.Sprint(i)), 0))
	}
	must(t, batch.Delete([]byte("key-0999")))
	if batch.Len() != 1000 {
		t.Fatal(batch.Len())
	}
	must(t, batch.Write(Synced))
	batch.Clear()
	must(t, batch.Write(Buffered))
	snapshot, err := store.Snapshot()
	must(t, err)
	must(t, store.Put([]byte("key-0001"), []byte("new"), &Write{Durability: Synced}))
	scan, err := store.Scan(&Range{Start: []byte("key-0000"), End: []byte("key-0003")})
	if got := entries(t, scan, err); got != "key-0000=0 key-0001=new key-0002=2" {
		t.Fatal(got)
	}
	scan, err = snapshot.Scan(&Range{Prefix: []byte("key-000"), Reverse: true, Limit: 2})
	if got := entries(t, scan, err); got != "key-0009=9 key-0008=8" {
		t.Fatal(got)
	}
	scan, err = store.Scan(nil)
	if got := len(strings.Fields(entries(t, scan, err))); got != 999 {
		t.Fatal(got)
	}
	value, err := snapshot.Get([]byte("key-0001"))
	must(t, err)
	many, err := snapshot.GetMany([][]byte{[]byte("key-0001")})
	must(t, err)
	if string(value) != "1" || string(many[0]) != "1" {
		t.Fatal("the snapshot has changed")
	}
	must(t, snapshot.Close())
	must(t, snapshot.Close())
	_, err = snapshot.Get([]byte("key-0001"))
	wants(t, err, ErrClosed)
	_, err = store.Scan(&Range{Start: []byte("a"), Prefix: []byte("b")})
	wants(t, err, ErrInvalid)
	// Larger than a page of the scan.
	must(t, store.Put([]byte("large"), make([]byte, 1<<20), nil))
	scan, err = store.Scan(&Range{Prefix: []byte("large")})
	must(t, err)
	if !scan.Next() || len(scan.Value()) != 1<<20 || scan.Next() || scan.Err() != nil {
		t.Fatal("a large value is not scanned")
	}
	must(t, scan.Close())
}

func TestTransactionsRunAgain(t *testing.T) {
	store, _ := open(t, nil)
	key := []byte("n")
	must(t, store.Put(key, []byte{0, 0}, nil))
	add := func(transaction *Transaction) error {
		value, err := transaction.Get(key)
		if err != nil {
			return err
		}
		n := int(value[0])<<8 + int(value[1]) + 1
		return transaction.Put(key, []byte{byte(n >> 8), byte(n)}, 0)
	}
	var group sync.WaitGroup
	for i := 0; i < 4; i++ {
		group.Add(1)
		go func() {
			defer group.Done()
			for j := 0; j < 100; j++ {
				if err := store.Transact(background, Buffered, add); err != nil {
					t.Error(err)
				}
			}
		}()
	}
	group.Wait()
	value, _ := store.Get(key)
	if n := int(value[0])<<8 + int(value[1]); n != 400 {
		t.Fatal(n)
	}
	first, err := store.Begin()
	must(t, err)
	second, err := store.Begin()
	must(t, err)
	must(t, add(first))
	must(t, add(second))
	scan, err := first.Scan(nil)
	if got := entries(t, scan, err); got != "n=\x01\x91" {
		t.Fatalf("%q", got)
	}
	must(t, first.Commit(Synced))
	wants(t, second.Commit(Buffered), ErrConflict)
	_, err = second.Get(key)
	wants(t, err, ErrClosed)
	must(t, second.Close())
	wants(t, second.Delete(key), ErrClosed)
	failed := errors.New("on purpose")
	wants(t, store.Transact(background, Buffered, func(*Transaction) error { return failed }), failed)
	cancelled, cancel := context.WithCancel(background)
	cancel()
	wants(t, store.Transact(cancelled, Buffered, add), context.Canceled)
}

func TestConditionsAndExpiry(t *testing.T) {
	store, _ := open(t, nil)
	key := []byte("k")
	must(t, store.CompareAndSet(key, nil, []byte("1"), nil))
	wants(t, store.CompareAndSet(key, nil, []byte("2"), nil), ErrConflict)
	must(t, store.CompareAndSet(key, []byte("1"), []byte{}, nil))
	must(t, store.CompareAndSet(key, []byte{}, nil, nil))
	_, err := store.Get(key)
	wants(t, err, ErrNotFound)
	must(t, store.Put(key, []byte("v"), &Write{TTL: time.Microsecond}))
	time.Sleep(20 * time.Millisecond)
	_, err = store.Get(key)
	wants(t, err, ErrNotFound)
	wants(t, store.Put(key, nil, &Write{TTL: -1}), ErrInvalid)
}

func TestClosingEndsEverything(t *testing.T) {
	store, dir := open(t, &Options{Settings: map[string]string{"compaction": "manual"}})
	must(t, store.Put([]byte("k"), []byte("v"), nil))
	snapshot, err := store.Snapshot()
	must(t, err)
	scan, err := store.Scan(nil)
	must(t, err)
	transaction, err := store.Begin()
	must(t, err)
	batch := store.Batch()
	must(t, batch.Put([]byte("x"), nil, 0))
	must(t, store.Sync(background))
	must(t, store.Compact(background))
	if stats, err := store.Stats(); err != nil || stats["keys"] != 1.0 {
		t.Fatal(stats, err)
	}
	_, err = Open(background, dir, nil)
	wants(t, err, ErrLocked)
	if !strings.Contains(err.Error(), fmt.Sprint("process ", os.Getpid())) {
		t.Fatal(err)
	}
	reader, err := Open(background, dir, &Options{ReadOnly: true})
	must(t, err)
	defer reader.Close()
	wants(t, reader.Put([]byte("k"), nil, nil), ErrNotPrimary)
	must(t, store.Close())
	must(t, store.Close())
	_, err = store.Get([]byte("k"))
	wants(t, err, ErrClosed)
	_, err = snapshot.Get([]byte("k"))
	wants(t, err, ErrClosed)
	if scan.Next() {
		t.Fatal("a scan goes on")
	}
	wants(t, scan.Err(), ErrClosed)
	wants(t, transaction.Commit(Buffered), ErrClosed)
	wants(t, batch.Write(Buffered), ErrClosed)
	again, err := Open(background, dir, &Options{MustExist: true})
	must(t, err)
	defer again.Close()
	if value, err := reader.Get([]byte("k")); err != nil || string(value) != "v" {
		t.Fatal(value, err)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	_, err := Open(background, t.TempDir(), &Options{Settings: map[string]string{"segment_max_byte": "1MiB"}})
	wants(t, err, ErrInvalid)
	if !strings.Contains(err.Error(), "did you mean segment_max_bytes?") {
		t.Fatal(err)
	}
	_, err = Open(background, t.TempDir()+"/none", &Options{MustExist: true})
	if err == nil {
		t.Fatal("a store that is not there is opened")
	}
	cancelled, cancel := context.WithCancel(background)
	cancel()
	_, err = Open(cancelled, t.TempDir(), nil)
	wants(t, err, context.Canceled)
}

// Everything at once, while the collector runs finalizers in its own order.
func TestGoroutinesShareAStore(t *testing.T) {
	store, _ := open(t, nil)
	var group sync.WaitGroup
	for worker := 0; worker < 8; worker++ {
		group.Add(1)
		go func(worker int) {
			defer group.Done()
			random := rand.New(rand.NewSource(int64(worker)))
			for i := 0; i < 300; i++ {
				key := []byte(fmt.Sprintf("%d-%d", worker, i))
				if err := store.Put(key, key, nil); err != nil {
					t.Error(err)
					return
				}
				value, err := store.Get(key)
				if err != nil || !bytes.Equal(value, key) {
					t.Error(value, err)
					return
				}
				switch random.Intn(20) {
				case 0:
					// Left to the finalizer.
					snapshot, _ := store.Snapshot()
					snapshot.Get(key)
				case 1:
					scan, _ := store.Scan(&Range{Prefix: []byte(fmt.Sprint(worker, "-"))})
					scan.Next()
				case 2:
					transaction, _ := store.Begin()
					transaction.Put(key, key, 0)
				case 3:
					store.Batch().Delete(key)
				case 4:
					runtime.GC()
				}
			}
		}(worker)
	}
	group.Wait()
	scan, err := store.Scan(nil)
	if got := len(strings.Fields(entries(t, scan, err))); got != 2400 {
		t.Fatal(got)
	}
}

func BenchmarkGet(b *testing.B) {
	store, _ := open(b, nil)
	keys := fill(b, store, 1000)
	b.ReportAllocs()
	b.ResetTimer()
	for i := 0; i < b.N; i++ {
		if _, err := store.Get(keys[i%len(keys)]); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkGetInto(b *testing.B) {
	store, _ := open(b, nil)
	keys := fill(b, store, 1000)
	room := make([]byte, 0, 128)
	b.ReportAllocs()
	b.ResetTimer()
	for i := 0; i < b.N; i++ {
		if _, err := store.GetInto(keys[i%len(keys)], room); err != nil {
			b.Fatal(err)
		}
	}
}

// One operation is one key.
func BenchmarkGetMany32(b *testing.B) {
	store, _ := open(b, nil)
	keys := fill(b, store, 32)
	b.ResetTimer()
	for i := 0; i < b.N; i += len(keys) {
		if _, err := store.GetMany(keys); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkPut(b *testing.B) {
	store, _ := open(b, nil)
	keys := fill(b, store, 1000)
	value := make([]byte, 100)
	b.ResetTimer()
	for i := 0; i < b.N; i++ {
		if err := store.Put(keys[i%len(keys)], value, nil); err != nil {
			b.Fatal(err)
		}
	}
}

func fill(b *testing.B, store *Store, n int) [][]byte {
	keys := make([][]byte, n)
	for i := range keys {
		keys[i] = []byte(fmt.Sprintf("key-%012d", i))
		must(b, store.Put(keys[i], make([]byte, 100), nil))
	}
	return keys
}

func TestSortedPairsAreLoadedAllOrNone(t *testing.T) {
	store, _ := open(t, nil)
	must(t, store.Put([]byte("key-0007"), []byte("old"), nil))
	load, err := store.Load()
	must(t, err)
	for i := 0; i < 2000; i++ {
		key := []byte(fmt.Sprintf("key-%04d", i))
		must(t, load.Put(key, key, 0))
	}
	_, err = store.Get([]byte("key-0008"))
	wants(t, err, ErrNotFound)
	if n, err := load.Finish(background); err != nil || n != 2000 {
		t.Fatal(n, err)
	}
	if value, err := store.Get([]byte("key-0007")); err != nil || string(value) != "key-0007" {
		t.Fatal(string(value), err)
	}
	_, err = load.Finish(background)
	wants(t, err, ErrClosed)
	must(t, load.Close())
	must(t, load.Close())
	wants(t, load.Put(nil, nil, 0), ErrClosed)
	second, err := store.Load()
	must(t, err)
	defer second.Close()
	must(t, second.Put([]byte("b"), nil, time.Hour))
	wants(t, second.Put([]byte("a"), nil, 0), ErrInvalid)
	_, err = second.Finish(background)
	wants(t, err, ErrInvalid)
}
