package atoll

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

func told(t testing.TB, frame Frame) string {
	t.Helper()
	changes, err := frame.Changes()
	must(t, err)
	var all []string
	for _, change := range changes {
		text := fmt.Sprintf("%s=%s", change.Key, change.Value)
		if change.Deleted {
			text = "-" + string(change.Key)
		}
		if change.MoreInBatch {
			text += "+"
		}
		all = append(all, text)
	}
	return strings.Join(all, " ")
}

func TestLogOfAStoreTellsEveryWriteOnceInOrder(t *testing.T) {
	store, _ := open(t, nil)
	log, err := store.Log(0)
	must(t, err)
	defer log.Close()
	must(t, store.Put([]byte("a"), []byte("1"), nil))
	batch := store.Batch()
	defer batch.Close()
	must(t, batch.Put([]byte("b"), []byte("2"), 0))
	must(t, batch.Delete([]byte("a")))
	must(t, batch.Write(Buffered))
	frame, err := log.Next(background, 0)
	must(t, err)
	if got := told(t, frame); got != "a=1 b=2+ -a" || frame.First != 0 || frame.Next == 0 {
		t.Fatal(got, frame.First, frame.Next)
	}
	must(t, store.Put([]byte("c"), nil, nil))
	again, err := store.Log(frame.Next)
	must(t, err)
	defer again.Close()
	frame, err = again.Next(background, 1)
	must(t, err)
	if got := told(t, frame); got != "c=" {
		t.Fatal(got)
	}
	_, err = (Frame{Records: frame.Records[:len(frame.Records)-1]}).Changes()
	wants(t, err, ErrCorrupt)
	_, err = (Frame{}).Changes()
	wants(t, err, ErrCorrupt)
	_, err = store.Log(1 << 40)
	wants(t, err, ErrInvalid)
	_, err = log.Next(background, -1)
	wants(t, err, ErrInvalid)
}

func TestReplicaOfAStoreTakesFramesAnyNumberOfTimes(t *testing.T) {
	store, _ := open(t, nil)
	replica, _ := open(t, &Options{Replica: true})
	for n := 0; n < 400; n++ {
		must(t, store.Put([]byte(fmt.Sprintf("key%d", n%70)), []byte(fmt.Sprint(n)), nil))
	}
	log, err := store.Log(0)
	must(t, err)
	defer log.Close()
	frames := 0
	for position := uint64(0); frames < 10; frames++ {
		frame, err := log.Next(background, 2000)
		must(t, err)
		for range []int{1, 2} {
			applied, err := replica.Apply(frame.Records)
			must(t, err)
			if applied != frame.Next || frame.First != position {
				t.Fatal(applied, frame.First, frame.Next)
			}
		}
		position = frame.Next
	}
	rest, err := log.Next(background, 0)
	must(t, err)
	_, err = replica.Apply(rest.Records)
	must(t, err)
	ours, err := store.Scan(nil)
	theirs, wrong := replica.Scan(nil)
	if entries(t, ours, err) != entries(t, theirs, wrong) {
		t.Fatal("the replica differs")
	}
	wants(t, replica.Put([]byte("k"), []byte("v"), nil), ErrNotPrimary)
	_, err = replica.Apply([]byte("no frame"))
	wants(t, err, ErrCorrupt)
	_, err = replica.Apply(nil)
	wants(t, err, ErrCorrupt)
}

func TestClosingEndsANextOfALogThatWaits(t *testing.T) {
	store, _ := open(t, nil)
	log, err := store.Log(FromNow)
	must(t, err)
	ctx, cancel := context.WithTimeout(background, 30*time.Millisecond)
	_, err = log.Next(ctx, 0)
	wants(t, err, context.DeadlineExceeded)
	cancel()
	_, err = log.Next(ctx, 0)
	wants(t, err, context.DeadlineExceeded)
	go func() {
		time.Sleep(20 * time.Millisecond)
		store.Put([]byte("k"), []byte("v"), nil)
	}()
	frame, err := log.Next(background, 0)
	must(t, err)
	if got := told(t, frame); got != "k=v" {
		t.Fatal(got)
	}
	var all sync.WaitGroup
	for _, end := range []func() error{log.Close, log.Close} {
		all.Add(1)
		go func(end func() error) {
			defer all.Done()
			time.Sleep(20 * time.Millisecond)
			end()
		}(end)
	}
	_, err = log.Next(background, 0)
	wants(t, err, ErrClosed)
	all.Wait()
	_, err = log.Next(background, 0)
	wants(t, err, ErrClosed)
	log, err = store.Log(FromNow)
	must(t, err)
	defer log.Close()
	closed := make(chan error)
	go func() {
		time.Sleep(20 * time.Millisecond)
		closed <- store.Close()
	}()
	_, err = log.Next(background, 0)
	wants(t, err, ErrClosed)
	must(t, <-closed)
}
