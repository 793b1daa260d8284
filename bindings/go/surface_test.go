package atoll

import (
	"bytes"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestOptionsTellOfThemselves(t *testing.T) {
	scopes, names := map[string]int{}, map[string]bool{}
	for _, option := range AllOptions() {
		scopes[option.Scope]++
		if option.Name == "" || option.Unit == "" || option.Doc == "" || names[option.Scope+" "+option.Name] {
			t.Errorf("%+v", option)
		}
		names[option.Scope+" "+option.Name] = true
		if option.Scope == "store" && option.Default != "" {
			// What is said to be the default is one that is taken.
			store, _ := open(t, &Options{Settings: map[string]string{option.Name: option.Default}})
			must(t, store.Close())
		}
	}
	if scopes["store"] < 5 || scopes["cluster"] < 5 || len(scopes) != 2 || !names["store segment_max_bytes"] {
		t.Fatal(scopes)
	}
}

func TestRevisionsNameOneWrite(t *testing.T) {
	store, _ := open(t, nil)
	key, large := []byte("k"), bytes.Repeat([]byte("v"), 10*smallValue)
	_, _, err := store.GetRevision(key)
	wants(t, err, ErrNotFound)
	must(t, store.Put(key, large, nil))
	value, first, err := store.GetRevision(key)
	must(t, err)
	if !bytes.Equal(value, large) || first.HLC == 0 || !first.ExpiresAt.IsZero() {
		t.Fatal(len(value), first)
	}
	// Another write of the same value is another revision.
	must(t, store.Put(key, large, &Write{TTL: time.Hour}))
	wants(t, store.SetIfRevision(key, first, []byte("new"), nil), ErrConflict)
	_, second, err := store.GetRevision(key)
	must(t, err)
	if second.LSN <= first.LSN || time.Until(second.ExpiresAt) < 50*time.Minute || time.Until(second.ExpiresAt) > time.Hour {
		t.Fatal(first, second)
	}
	must(t, store.SetIfRevision(key, second, []byte{}, nil))
	value, third, err := store.GetRevision(key)
	must(t, err)
	if value == nil || len(value) != 0 {
		t.Fatal(value)
	}
	must(t, store.SetIfRevision(key, third, nil, nil))
	_, err = store.Get(key)
	wants(t, err, ErrNotFound)
	must(t, store.Close())
	_, _, err = store.GetRevision(key)
	wants(t, err, ErrClosed)
}

func TestScansSeek(t *testing.T) {
	store, _ := open(t, nil)
	for i := 0; i < 1000; i++ {
		must(t, store.Put([]byte(fmt.Sprintf("%04d", i)), []byte("v"), nil))
	}
	scan, err := store.Scan(&Range{Start: []byte("0100"), Limit: 3})
	must(t, err)
	defer scan.Close()
	show := func() string {
		var keys []string
		for scan.Next() {
			keys = append(keys, string(scan.Key()))
		}
		must(t, scan.Err())
		return strings.Join(keys, " ")
	}
	if found := show(); found != "0100 0101 0102" {
		t.Fatal(found)
	}
	// Forward, back, before the range, between keys, past the end.
	for to, wanted := range map[string]string{"0500": "0500 0501 0502", "0000": "0100 0101 0102", "0998x": "0999", "x": ""} {
		must(t, scan.Seek([]byte(to)))
		if scan.Key() != nil {
			t.Fatal("an entry before Next")
		}
		if found := show(); found != wanted {
			t.Fatalf("%s: %s", to, found)
		}
	}
	must(t, scan.Close())
	wants(t, scan.Seek([]byte("0500")), ErrClosed)
	transaction, err := store.Begin()
	must(t, err)
	defer transaction.Close()
	other, err := transaction.Scan(&Range{Limit: 1})
	must(t, err)
	defer other.Close()
	wants(t, other.Seek([]byte("0500")), ErrUnsupported)
}

func TestBatchesTakeManyAtOnce(t *testing.T) {
	store, _ := open(t, nil)
	batch := store.Batch()
	defer batch.Close()
	must(t, batch.PutMany(nil, nil))
	wants(t, batch.PutMany([][]byte{nil}, nil), ErrInvalid)
	long := bytes.Repeat([]byte("k"), 65536)
	wants(t, batch.PutMany([][]byte{[]byte("a"), long}, [][]byte{nil, nil}), ErrInvalid)
	if batch.Len() != 0 {
		t.Fatal("a part of what was refused stays")
	}
	must(t, batch.PutMany([][]byte{[]byte("b"), nil, []byte("섬")}, [][]byte{[]byte("1"), []byte("2"), nil}))
	must(t, batch.Write(Buffered))
	scan, err := store.Scan(nil)
	if found := entries(t, scan, err); found != "=2 b=1 섬=" {
		t.Fatal(found)
	}
	must(t, batch.Close())
	wants(t, batch.PutMany(nil, nil), ErrClosed)
}

func TestSnapshotsTellWhereTheyAre(t *testing.T) {
	store, _ := open(t, nil)
	must(t, store.Put([]byte("a"), nil, nil))
	snapshot, err := store.Snapshot()
	must(t, err)
	must(t, store.Put([]byte("b"), nil, nil))
	log, err := store.Log(snapshot.LSN())
	must(t, err)
	defer log.Close()
	frame, err := log.Next(background, 0)
	must(t, err)
	changes, err := frame.Changes()
	must(t, err)
	if len(changes) != 1 || string(changes[0].Key) != "b" {
		t.Fatal(changes)
	}
	must(t, snapshot.Close())
	if snapshot.LSN() != 0 {
		t.Fatal("a closed snapshot is nowhere")
	}
}

func TestClocksAreCounts(t *testing.T) {
	for _, counts := range []map[string]uint64{{}, {"A": 1}, {"섬": 1<<64 - 1, "A": 2, "b": 3}} {
		clock, err := VectorClockOf(counts)
		must(t, err)
		found, err := clock.Counts()
		must(t, err)
		if !reflect.DeepEqual(found, counts) {
			t.Fatal(found)
		}
		more := clock.Clone()
		_, err = more.Tick("other")
		must(t, err)
		left, err := clock.Encode()
		must(t, err)
		right, err := more.Encode()
		must(t, err)
		if order, err := CompareVectorClocks(left, right); err != nil || order != Before {
			t.Fatal(order, err)
		}
	}
	zero, err := VectorClockOf(map[string]uint64{"A": 0})
	must(t, err)
	if zero.String() != "{}" {
		t.Fatal(zero)
	}
	_, err = VectorClockOf(map[string]uint64{"": 1})
	wants(t, err, ErrInvalid)
	_, err = CompareVectorClocks([]byte{9}, nil)
	wants(t, err, ErrCorrupt)
}
