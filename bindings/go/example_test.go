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
