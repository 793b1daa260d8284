//go:build go1.23

package atoll

import "iter"

// All returns the rest of the scan for a range loop, and closes the scan when the loop ends. Keys and values are valid until the
// next turn. Look at Err after the loop.
//
//	for key, value := range scan.All() {
//		use(key, value)
//	}
//	err = scan.Err()
func (s *Scan) All() iter.Seq2[[]byte, []byte] {
	return func(yield func(key, value []byte) bool) {
		defer s.Close()
		for s.Next() {
			if !yield(s.Key(), s.Value()) {
				return
			}
		}
	}
}
