// Command calls reads a store as a Go program does: calls STORE KEYS, with the lines and answers of `calls read` in
// benches/src/bin/calls.rs, and the work `into`, which is GetInto.
package main

import (
	"bufio"
	"context"
	"fmt"
	"log"
	"os"
	"sort"
	"time"

	"atoll.dev/go/atoll"
)

const (
	keyBytes   = 16
	valueBytes = 100
	many       = 1000
)

func must(err error) {
	if err != nil {
		log.Fatal("Go: ", err)
	}
}

// pass returns the bytes of all values.
func pass(store *atoll.Store, work string, keys [][]byte) (bytes int) {
	switch work {
	case "get":
		for _, key := range keys {
			value, err := store.Get(key)
			must(err)
			bytes += len(value)
		}
	case "into":
		room := make([]byte, 0, valueBytes)
		for _, key := range keys {
			value, err := store.GetInto(key, room)
			must(err)
			bytes += len(value)
		}
	case "many":
		for len(keys) > 0 {
			n := many
			if n > len(keys) {
				n = len(keys)
			}
			values, err := store.GetMany(keys[:n])
			must(err)
			for _, value := range values {
				bytes += len(value)
			}
			keys = keys[n:]
		}
	default:
		log.Fatal("Go: there is no work ", work)
	}
	return bytes
}

func main() {
	if len(os.Args) != 3 {
		log.Fatal("usage: calls STORE KEYS")
	}
	packed, err := os.ReadFile(os.Args[2])
	must(err)
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var work string
		var first, count, turns int
		_, err := fmt.Sscan(lines.Text(), &work, &first, &count, &turns)
		must(err)
		// No more than the keys of the pass: what lies about is looked through by the collector.
		keys := make([][]byte, count)
		for i := range keys {
			at := (first + i) * keyBytes
			keys[i] = packed[at : at+keyBytes : at+keyBytes]
		}
		store, err := atoll.Open(context.Background(), os.Args[1], nil)
		must(err)
		pass(store, work, keys)
		var slices []float64
		bytes := 0
		for turn := 0; turn < turns; turn++ {
			for rest := keys; len(rest) > 0; {
				slice := rest
				if len(slice) > many {
					slice = slice[:many]
				}
				begin := time.Now()
				bytes += pass(store, work, slice)
				slices = append(slices, float64(time.Since(begin).Nanoseconds())/float64(len(slice)))
				rest = rest[len(slice):]
			}
		}
		if bytes != valueBytes*count*turns {
			log.Fatal("Go: a value is missing")
		}
		must(store.Close())
		sort.Float64s(slices)
		fmt.Println(slices[len(slices)/2])
	}
	must(lines.Err())
}
