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

func ExampleEncodeKey() {
	key, err := atoll.EncodeKey(atoll.Tuple{"user", 42})
	if err != nil {
		log.Fatal(err)
	}
	tuple, err := atoll.DecodeKey(key)
	fmt.Printf("%x %v %v\n", key, tuple, err)
	// Output:
	// 0375736572000104800000000000002a [user 42] <nil>
}

func ExampleParseStamp() {
	stamp, err := atoll.ParseStamp("2026-11-23T02:00:00.123Z/0007@seoul")
	if err != nil {
		log.Fatal(err)
	}
	later, err := atoll.StampAt(stamp.WallMs(), stamp.Counter()+1, "busan")
	fmt.Println(later, stamp.Packed < later.Packed, err)
	// Output:
	// 2026-11-23T02:00:00.123Z/0008@busan true <nil>
}

func ExampleRouter_Locate() {
	slots, err := atoll.NewSlots([]string{"a", "b", "c"}, 64, 2)
	if err != nil {
		log.Fatal(err)
	}
	place, err := slots.Locate([]byte("user:42"))
	if err != nil {
		log.Fatal(err)
	}
	nodes, err := slots.ShardNodes(place.Shard)
	fmt.Println(place.Slot, place.Shard, place.Phase, nodes, err)
	// Output:
	// 42 1 none [a b] <nil>
}

func ExampleStore_SetIfRevision() {
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
	key := []byte("user:42")
	if err := store.Put(key, []byte("Kim"), nil); err != nil {
		log.Fatal(err)
	}
	_, revision, err := store.GetRevision(key)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(store.SetIfRevision(key, revision, []byte("Lee"), nil))
	fmt.Println(errors.Is(store.SetIfRevision(key, revision, []byte("Park"), nil), atoll.ErrConflict))
	// Output:
	// <nil>
	// true
}
