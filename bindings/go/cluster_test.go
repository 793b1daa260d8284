package atoll

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

func openCluster(t testing.TB, options *ClusterOptions) (*Cluster, string) {
	t.Helper()
	dir := t.TempDir()
	cluster, err := OpenCluster(background, dir, options)
	must(t, err)
	t.Cleanup(func() { cluster.Close() })
	return cluster, dir
}

func TestClusterValuesComeBackAsFreshAsAsked(t *testing.T) {
	cluster, _ := openCluster(t, &ClusterOptions{Shards: 3, Replicas: 2})
	for _, n := range []int{0, 1, smallValue, smallValue + 1, 10 << 20} {
		for _, key := range [][]byte{nil, []byte("섬")} {
			value := bytes.Repeat([]byte("v"), n)
			token, err := cluster.Put(background, key, value, &ClusterWrite{Durability: ClusterReplicated})
			must(t, err)
			for _, how := range []*Read{nil, {}, {Consistency: ReadYourWrites, Token: token}} {
				found, err := cluster.Get(background, key, how)
				must(t, err)
				if !bytes.Equal(found, value) {
					t.Fatalf("%d bytes instead of %d", len(found), n)
				}
			}
		}
	}
	key := []byte("k")
	token, err := cluster.Put(background, key, key, &ClusterWrite{Durability: ClusterBuffered})
	must(t, err)
	_, err = cluster.Delete(background, key, nil)
	must(t, err)
	_, err = cluster.Get(background, key, nil)
	wants(t, err, ErrNotFound)
	if count, err := cluster.Count(background, nil); err != nil || count != 2 {
		t.Fatal(count, err)
	}
	_, err = cluster.Put(background, key, key, &ClusterWrite{TTL: time.Microsecond})
	must(t, err)
	time.Sleep(20 * time.Millisecond)
	_, err = cluster.Get(background, key, nil)
	wants(t, err, ErrNotFound)
	for _, how := range []*Read{
		{Consistency: ReadYourWrites}, {Token: token}, {Consistency: Eventual, Token: token}, {Consistency: 9},
		{Consistency: ReadYourWrites, Token: token[:len(token)-1]}, {Consistency: ReadYourWrites, Token: Token("nonsense")},
	} {
		_, err = cluster.Get(background, key, how)
		wants(t, err, ErrInvalid)
	}
	_, err = cluster.Put(background, key, key, &ClusterWrite{Durability: 9})
	wants(t, err, ErrInvalid)
	_, err = cluster.Delete(background, key, &ClusterWrite{TTL: time.Second})
	wants(t, err, ErrInvalid)
}

func TestClusterScansGoOverAllShards(t *testing.T) {
	cluster, _ := openCluster(t, &ClusterOptions{Shards: 3, Replicas: 2})
	var keys [][]byte
	for i := 0; i < 600; i++ {
		key := []byte(fmt.Sprintf("key-%03d", i))
		keys = append(keys, key)
		_, err := cluster.Put(background, key, bytes.Repeat(key, 100), &ClusterWrite{Durability: ClusterBuffered})
		must(t, err)
	}
	scan, err := cluster.Scan(background, nil, nil)
	must(t, err)
	n := 0
	for ; scan.Next(); n++ {
		if !bytes.Equal(scan.Key(), keys[n]) || !bytes.Equal(scan.Value(), bytes.Repeat(keys[n], 100)) {
			t.Fatalf("entry %d is %q", n, scan.Key())
		}
	}
	must(t, scan.Err())
	must(t, scan.Close())
	if n != len(keys) {
		t.Fatal(n)
	}
	scan, err = cluster.Scan(background, &Range{Prefix: []byte("key-10"), Limit: 3}, &Read{Consistency: Eventual})
	must(t, err)
	for n = 0; scan.Next(); n++ {
	}
	if n != 3 || scan.Close() != nil {
		t.Fatal(n)
	}
	_, err = cluster.Scan(background, &Range{Reverse: true}, nil)
	wants(t, err, ErrUnsupported)
	router, err := cluster.Router()
	must(t, err)
	if router.Epoch() == 0 || len(router.Names()) != 3 {
		t.Fatal(router.Epoch(), router.Names())
	}
	owners := map[string]bool{}
	for _, key := range keys {
		nodes, err := router.Nodes(key, 3)
		must(t, err)
		if len(nodes) != 2 {
			t.Fatal(nodes)
		}
		owners[nodes[0]] = true
	}
	if len(owners) != 3 {
		t.Fatal(owners)
	}
	status, err := cluster.Status()
	must(t, err)
	var facts struct{ Shards []any }
	if err := json.Unmarshal(status, &facts); err != nil || len(facts.Shards) != 3 {
		t.Fatal(err, len(facts.Shards))
	}
}

func TestClusterBatchesStayWithinASlot(t *testing.T) {
	cluster, _ := openCluster(t, &ClusterOptions{Shards: 3})
	batch := NewBatch()
	defer batch.Close()
	_, err := cluster.Write(background, batch, nil)
	wants(t, err, ErrInvalid)
	must(t, batch.Put([]byte("a"), []byte("1"), 0))
	wants(t, batch.Write(Synced), ErrInvalid)
	_, err = cluster.Write(background, batch, nil)
	must(t, err)
	must(t, batch.Put([]byte("b"), []byte("2"), 0))
	_, err = cluster.Write(background, batch, nil)
	wants(t, err, ErrCrossSlot)
	_, err = cluster.Get(background, []byte("b"), nil)
	wants(t, err, ErrNotFound)
}

func TestSessionsReadTheirWrites(t *testing.T) {
	cluster, _ := openCluster(t, &ClusterOptions{Shards: 3, Replicas: 3})
	foreign, _ := openCluster(t, &ClusterOptions{Shards: 1})
	first, second := cluster.Session(), cluster.Session()
	_, err := first.Get(background, []byte("0"))
	wants(t, err, ErrNotFound)
	var group sync.WaitGroup
	for worker := 0; worker < 4; worker++ {
		group.Add(1)
		go func(worker int) {
			defer group.Done()
			for i := 0; i < 50; i++ {
				key := []byte(fmt.Sprint(worker, "-", i))
				if err := first.Put(background, key, key, &ClusterWrite{Durability: ClusterBuffered}); err != nil {
					t.Error(err)
					return
				}
				if value, err := first.Get(background, key); err != nil || !bytes.Equal(value, key) {
					t.Error(value, err)
				}
				if err := second.See(first.Token()); err != nil {
					t.Error(err)
				}
				if value, err := second.Get(background, key); err != nil || !bytes.Equal(value, key) {
					t.Error(value, err)
				}
			}
		}(worker)
	}
	group.Wait()
	must(t, first.Delete(background, []byte("0-0"), nil))
	_, err = first.Get(background, []byte("0-0"))
	wants(t, err, ErrNotFound)
	batch := NewBatch()
	must(t, batch.Put([]byte("batch"), []byte("v"), 0))
	must(t, first.Write(background, batch, nil))
	if value, err := first.Get(background, []byte("batch")); err != nil || string(value) != "v" {
		t.Fatal(value, err)
	}
	before := first.Token()
	token, err := foreign.Put(background, nil, nil, nil)
	must(t, err)
	wants(t, first.See(token), ErrInvalid)
	wants(t, first.See(Token("nonsense")), ErrInvalid)
	if !bytes.Equal(first.Token(), before) {
		t.Fatal("a token that was refused has changed the session")
	}
	if merged, err := MergeTokens(nil, before); err != nil || !bytes.Equal(merged, before) {
		t.Fatal(err)
	}
}

func TestClustersAreMadeOnceAndOpenedAgain(t *testing.T) {
	dir := t.TempDir()
	_, err := OpenCluster(background, dir, nil)
	wants(t, err, ErrInvalid)
	_, err = OpenCluster(background, dir, &ClusterOptions{Shards: 1, Settings: map[string]string{"segment_max_byte": "1MiB"}})
	if wants(t, err, ErrInvalid); !strings.Contains(err.Error(), "did you mean") {
		t.Fatal(err)
	}
	for _, nodes := range [][]string{{"a,b"}, {"a", "a"}, {"a\x00"}, {""}, {}, {"a=0"}} {
		_, err = OpenCluster(background, dir, &ClusterOptions{Shards: 1, Nodes: nodes})
		wants(t, err, ErrInvalid)
	}
	_, err = OpenCluster(background, dir, &ClusterOptions{Shards: 1 << 31})
	wants(t, err, ErrInvalid)
	_, err = OpenCluster(background, dir, &ClusterOptions{Shards: 1, Replicas: 256, Nodes: []string{"a"}})
	wants(t, err, ErrInvalid)
	cancelled, cancel := context.WithCancel(background)
	cancel()
	_, err = OpenCluster(cancelled, dir, &ClusterOptions{Shards: 1})
	wants(t, err, context.Canceled)

	options := &ClusterOptions{Shards: 2, Replicas: 2, Nodes: []string{"x=2", "y"}, Settings: map[string]string{"segment_max_bytes": "1MiB"}}
	made, err := OpenCluster(background, dir, options)
	must(t, err)
	_, err = made.Put(background, []byte("k"), []byte("v"), nil)
	must(t, err)
	_, err = made.Put(cancelled, []byte("k"), []byte("other"), nil)
	wants(t, err, context.Canceled)
	_, err = OpenCluster(background, dir, nil)
	wants(t, err, ErrLocked)
	router, err := made.Router()
	must(t, err)
	if names := router.Names(); strings.Join(names, " ") != "x y" {
		t.Fatal(names)
	}
	scan, err := made.Scan(background, nil, nil)
	must(t, err)
	must(t, made.Close())
	must(t, made.Close())
	_, err = made.Get(background, []byte("k"), nil)
	wants(t, err, ErrClosed)
	_, err = made.Session().cluster.Delete(background, []byte("k"), nil)
	wants(t, err, ErrClosed)
	if !scan.Next() || string(scan.Value()) != "v" {
		t.Fatal("a scan does not outlive its cluster:", scan.Err())
	}
	must(t, scan.Close())
	again, err := OpenCluster(background, dir, nil)
	must(t, err)
	defer again.Close()
	if value, err := again.Get(background, []byte("k"), nil); err != nil || string(value) != "v" {
		t.Fatal(value, err)
	}
}

func TestAClusterIsClosedUnderThoseWhoUseIt(t *testing.T) {
	cluster, _ := openCluster(t, &ClusterOptions{Shards: 2, Replicas: 2})
	var group sync.WaitGroup
	for worker := 0; worker < 4; worker++ {
		group.Add(1)
		go func(worker int) {
			defer group.Done()
			for i := 0; i < 60; i++ {
				key := []byte{byte(i)}
				_, err := cluster.Put(background, key, key, &ClusterWrite{Durability: ClusterBuffered})
				if err == nil {
					_, err = cluster.Get(background, key, nil)
				}
				if err != nil && !errors.Is(err, ErrClosed) {
					t.Error(err)
				}
				if worker == 0 && i == 30 {
					if err := cluster.Close(); err != nil {
						t.Error(err)
					}
				}
			}
		}(worker)
	}
	group.Wait()
}

func TestClusterTakesANodeInAndLetsOneGo(t *testing.T) {
	cluster, _ := openCluster(t, &ClusterOptions{Shards: 3, Replicas: 2})
	for i := 0; i < 300; i++ {
		_, err := cluster.Put(background, []byte(fmt.Sprint("key-", i)), nil, &ClusterWrite{Durability: ClusterBuffered})
		must(t, err)
	}
	const add = `{"add":{"name":"n4"}}`
	if plan, err := cluster.Plan(background, add); err != nil || !bytes.Contains(plan, []byte(`"moved_between_old_nodes":0`)) {
		t.Fatal(string(plan), err)
	}
	steps := 0
	moved, err := cluster.Rebalance(background, add, func(done, total uint64) { steps++ })
	must(t, err)
	if steps == 0 || !bytes.Contains(moved, []byte(`"keys_between_old_nodes":0`)) {
		t.Fatal(steps, string(moved))
	}
	_, err = cluster.ResumeRebalance(background, nil)
	wants(t, err, ErrNotFound)
	for _, change := range []string{"", "{}", `{"melt":1}`, `{"remove":"n9"}`} {
		_, err = cluster.Rebalance(background, change, nil)
		if err == nil {
			t.Fatal(change)
		}
	}
	_, err = cluster.Rebalance(background, `{"remove":"n1"}`, nil)
	must(t, err)
	if n, err := cluster.Count(background, nil); err != nil || n != 300 {
		t.Fatal(n, err)
	}
	if done, err := cluster.Compact(background); err != nil || !bytes.Contains(done, []byte("bytes_after")) {
		t.Fatal(string(done), err)
	}
	if events, err := cluster.Events(); err != nil || events[0] != '[' {
		t.Fatal(string(events), err)
	}
}
