package atoll

import "testing"

// deep runs body at the bottom of a stack of so many frames.
func deep(frames int, body func()) byte {
	var room [40]byte
	if frames == 0 {
		body()
		return room[0]
	}
	room[frames%40] = deep(frames-1, body)
	return room[(frames+1)%40]
}

// An empty view of C's points anywhere, to address 1 for example. Go ends the process when it moves a stack on which it finds
// such a pointer, so none may ever be there: every call is made at many depths, so that some of them move the stack inside it.
func TestEmptyBytesFromCNeverStandOnAStack(t *testing.T) {
	store, _ := open(t, nil)
	cluster, _ := openCluster(t, &ClusterOptions{Shards: 1})
	must(t, store.Put([]byte("empty"), nil, nil))
	_, err := cluster.Put(background, []byte("empty"), nil, nil)
	must(t, err)
	rule, err := NewResolver("mine", func([]byte, []KeyVersion) (Resolution, error) { return Become(nil), nil })
	must(t, err)
	lww, err := BuiltinResolver("lww")
	must(t, err)
	versions := versionsOf("", "")
	versions[1].Deleted = true
	encoded, err := versions[0].Encode()
	must(t, err)
	transaction, err := store.Begin()
	must(t, err)
	defer transaction.Close()
	snapshot, err := store.Snapshot()
	must(t, err)
	defer snapshot.Close()
	calls := map[string]func() error{
		"Store.Get":       func() error { _, err := store.Get([]byte("empty")); return err },
		"Snapshot.Get":    func() error { _, err := snapshot.Get([]byte("empty")); return err },
		"Transaction.Get": func() error { _, err := transaction.Get([]byte("empty")); return err },
		"Cluster.Get":     func() error { _, err := cluster.Get(background, []byte("empty"), nil); return err },
		"Resolve, own":    func() error { _, err := rule.Resolve(nil, versions); return err },
		"Resolve":         func() error { _, err := lww.Resolve(nil, versions); return err },
		"Present":         func() error { _, err := lww.Present(nil); return err },
		"Decode":          func() error { _, err := DecodeKeyVersion(encoded); return err },
		"MergeTokens":     func() error { _, err := MergeTokens(nil, nil); return err },
		"MergeContexts":   func() error { _, err := MergeContexts(nil, nil); return err },
	}
	for name, call := range calls {
		for frames := 0; frames < 400; frames++ {
			ended := make(chan error)
			// Every goroutine begins with a small stack.
			go func(frames int) {
				var err error
				deep(frames, func() { err = call() })
				ended <- err
			}(frames)
			if err := <-ended; err != nil {
				t.Fatal(name, err)
			}
		}
	}
}
