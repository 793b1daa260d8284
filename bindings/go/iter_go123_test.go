//go:build go1.23

package atoll

import (
	"fmt"
	"testing"
)

func TestRangeLoopsGoOverAScan(t *testing.T) {
	store, _ := open(t, nil)
	for i := 0; i < 3*pageEntries; i++ {
		must(t, store.Put([]byte(fmt.Sprintf("%04d", i)), []byte{byte(i)}, nil))
	}
	for _, stop := range []int{0, 1, pageEntries, 3*pageEntries + 1} {
		scan, err := store.Scan(nil)
		must(t, err)
		n := 0
		for key, value := range scan.All() {
			if string(key) != fmt.Sprintf("%04d", n) || value[0] != byte(n) {
				t.Fatalf("%q %v", key, value)
			}
			if n++; n >= stop && stop > 0 {
				break
			}
		}
		must(t, scan.Err())
		wanted := stop
		if stop == 0 || stop > 3*pageEntries {
			wanted = 3 * pageEntries
		}
		if n != wanted || scan.Next() {
			t.Fatal(n, wanted)
		}
	}
}
