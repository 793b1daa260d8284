package atoll_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"

	"atoll.dev/go/atoll"
)

func Example() {
	dir, err := os.MkdirTemp("", "atoll")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	store, err := atoll.Open(context.Background(), dir, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	if err := store.Put([]byte("user:42"), []byte("Kim"), &atoll.Write{Durability: atoll.Synced}); err != nil {
		log.Fatal(err)
	}
	value, err := store.Get([]byte("user:42"))
	fmt.Println(string(value), err)
	_, err = store.Get([]byte("user:43"))
	fmt.Println(errors.Is(err, atoll.ErrNotFound))
	// Output:
	// Kim <nil>
	// true
}

func ExampleRouter_PlanAdd() {
	ring, err := atoll.NewRing([]string{"a", "b=2", "c"}, 0, "sha1")
	if err != nil {
		log.Fatal(err)
	}
	node, _ := ring.Node([]byte("user:42"))
	plan, after, err := ring.PlanAdd("d", 1)
	if err != nil {
		log.Fatal(err)
	}
	moved, _ := after.Node([]byte("user:42"))
	fmt.Println(node, moved, plan.MovedBetweenOldNodes)
	// Output:
	// a d 0
}

func ExampleCluster_Session() {
	dir, err := os.MkdirTemp("", "atoll")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	ctx := context.Background()
	cluster, err := atoll.OpenCluster(ctx, dir, &atoll.ClusterOptions{Shards: 2, Replicas: 3})
	if err != nil {
		log.Fatal(err)
	}
	defer cluster.Close()
	session := cluster.Session()
	if err := session.Put(ctx, []byte("user:42"), []byte("Kim"), nil); err != nil {
		log.Fatal(err)
	}
	// From any copy that has the write.
	value, err := session.Get(ctx, []byte("user:42"))
	fmt.Println(string(value), err)
	// Another session that is told of it.
	other := cluster.Session()
	if err := other.See(session.Token()); err != nil {
		log.Fatal(err)
	}
	value, err = other.Get(ctx, []byte("user:42"))
	fmt.Println(string(value), err)
	// Output:
	// Kim <nil>
	// Kim <nil>
}

func ExampleNewResolver() {
	longest, err := atoll.NewResolver("longest", func(key []byte, versions []atoll.KeyVersion) (atoll.Resolution, error) {
		best := 0
		for i := range versions {
			if len(versions[i].Value) > len(versions[best].Value) {
				best = i
			}
		}
		return atoll.Keep(best), nil
	})
	if err != nil {
		log.Fatal(err)
	}
	defer longest.Close()
	found, err := longest.Resolve([]byte("user:42"), []atoll.KeyVersion{
		{Value: []byte("Kim"), Node: 1, Incarnation: 1, Sequence: 1, Stamp: 2},
		{Value: []byte("Kim Min-jun"), Node: 2, Incarnation: 1, Sequence: 1, Stamp: 1},
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(string(found[0].Value))
	// Output:
	// Kim Min-jun
}
