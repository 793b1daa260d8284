// A store, a router and two writers that disagree, in Go: go run . DIRECTORY
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"strings"

	"atoll.dev/go/atoll"
)

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: story DIRECTORY")
	}
	db, err := atoll.Open(context.Background(), os.Args[1], nil)
	must(err)
	defer db.Close()

	// Write and read.
	must(db.Put([]byte("user:42"), []byte("Kim"), &atoll.Write{Durability: atoll.Synced}))
	name, err := db.Get([]byte("user:42"))
	must(err)
	fmt.Printf("user:42 is %s\n", name)

	// Several writes as one, and a snapshot that does not see what comes after it.
	before, err := db.Snapshot()
	must(err)
	defer before.Close()
	batch := db.Batch()
	must(batch.Put([]byte("user:43"), []byte("Lee"), 0))
	must(batch.Put([]byte("user:44"), []byte("Park"), 0))
	must(batch.Delete([]byte("user:42")))
	must(batch.Write(atoll.Buffered))
	scan, err := db.Scan(&atoll.Range{Prefix: []byte("user:")})
	must(err)
	defer scan.Close()
	fmt.Print("users now:")
	for scan.Next() {
		fmt.Printf(" %s=%s", scan.Key(), scan.Value())
	}
	must(scan.Err())
	name, err = before.Get([]byte("user:42"))
	must(err)
	fmt.Printf("\nuser:42 in the snapshot: %s\n", name)

	// Two transactions that read and write the same key: one of them has to run again.
	first, err := db.Begin()
	must(err)
	defer first.Close()
	second, err := db.Begin()
	must(err)
	defer second.Close()
	for i, transaction := range []*atoll.Transaction{first, second} {
		_, err = transaction.Get([]byte("user:43"))
		must(err)
		must(transaction.Put([]byte("user:43"), []byte([]string{"Lee the first", "Lee the second"}[i]), 0))
	}
	must(first.Commit(atoll.Buffered))
	var refused *atoll.Error
	if errors.As(second.Commit(atoll.Buffered), &refused) && errors.Is(refused, atoll.ErrConflict) {
		fmt.Println("the second transaction:", refused.Status)
	}

	// What was written, in order, as a subscriber sees it.
	log, err := db.Log(0)
	must(err)
	defer log.Close()
	frame, err := log.Next(context.Background(), 0)
	must(err)
	changes, err := frame.Changes()
	must(err)
	fmt.Print("the log says:")
	for _, change := range changes {
		if change.Deleted {
			fmt.Printf(" -%s", change.Key)
		} else {
			fmt.Printf(" %s", change.Key)
		}
	}
	fmt.Println()

	// Where keys live, and what a fourth node would change.
	ring, err := atoll.NewRing([]string{"a", "b=2", "c"}, 160, "sha1")
	must(err)
	node, err := ring.Node([]byte("user:42"))
	must(err)
	nodes, err := ring.Nodes([]byte("user:42"), 3)
	must(err)
	fmt.Printf("user:42 lives on %s, with copies on %s\n", node, strings.Join(nodes, " "))
	_, after, err := ring.PlanAdd("d", 1)
	must(err)
	node, err = after.Node([]byte("user:42"))
	must(err)
	fmt.Println("with a node d it lives on", node)

	// Two writers that did not know of each other.
	seoul, busan := atoll.NewVectorClock(), atoll.NewVectorClock()
	_, err = seoul.Tick("seoul")
	must(err)
	_, err = busan.Tick("busan")
	must(err)
	order, err := seoul.Compare(busan)
	must(err)
	fmt.Println("concurrent:", map[bool]string{true: "yes", false: "no"}[order == atoll.Concurrent])
	must(seoul.Merge(busan))
	fmt.Println("merged:", seoul)

	// Their writes of the same key stand side by side, until a rule decides.
	route := atoll.NewSiblingSet()
	for i, value := range []string{"the bridge", "the ferry"} {
		stamp, err := atoll.StampAt(uint64(1000+i), 0, "clock")
		must(err)
		_, err = route.Put(&atoll.KeyVersion{Value: []byte(value), Stamp: stamp.Packed, Node: uint64(i + 1), Sequence: 1})
		must(err)
	}
	both, err := route.Versions()
	must(err)
	rule, err := atoll.BuiltinResolver("lww")
	must(err)
	defer rule.Close()
	latest, err := route.Resolve(rule, []byte("route"))
	must(err)
	fmt.Printf("side by side: %s, %s; the latest write is %s\n", both[0].Value, both[1].Value, latest[0].Value)

	// Shards and copies: a session reads what it has written, from any copy that has it.
	ctx := context.Background()
	cluster, err := atoll.OpenCluster(ctx, os.Args[1]+"-cluster", &atoll.ClusterOptions{Shards: 4, Replicas: 3})
	must(err)
	defer cluster.Close()
	session := cluster.Session()
	must(session.Put(ctx, []byte("note"), []byte("three copies"), &atoll.ClusterWrite{Durability: atoll.ClusterReplicated}))
	note, err := session.Get(ctx, []byte("note"))
	must(err)
	fmt.Printf("a session reads its own write: %s\n", note)
}
