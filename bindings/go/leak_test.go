//go:build !race && !asan

package atoll

import (
	"bytes"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"testing"
)

// resident returns the bytes of memory the process has, after Go has given back what it does not need.
func resident(t *testing.T) int {
	t.Helper()
	// Finalizers run between collections.
	for i := 0; i < 3; i++ {
		runtime.GC()
	}
	debug.FreeOSMemory()
	status, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Skip("no /proc here:", err)
	}
	pages, err := strconv.Atoi(string(bytes.Fields(status)[1]))
	must(t, err)
	return pages * os.Getpagesize()
}

// Every kind of object that C hands over, often enough that one leaked each time would show: the smallest is 32 bytes with what
// malloc adds. Leak checkers do not see through Go's memory, and stay silent when an object is leaked on purpose.
func TestNothingOfCIsLeaked(t *testing.T) {
	const rounds = 100000
	store, dir := open(t, nil)
	cluster, _ := openCluster(t, &ClusterOptions{Shards: 1})
	key, large := []byte("k"), bytes.Repeat([]byte("v"), 2*smallValue)
	must(t, store.Put(key, key, nil))
	token, err := cluster.Put(background, key, large, nil)
	must(t, err)
	ring, err := NewRing([]string{"a", "b"}, 1, "")
	must(t, err)
	ringBytes, err := ring.Encode()
	must(t, err)
	rule, err := NewResolver("mine", func([]byte, []KeyVersion) (Resolution, error) { return Become(nil), nil })
	must(t, err)
	fails, err := NewResolver("fails", func([]byte, []KeyVersion) (Resolution, error) { return Resolution{}, ErrInvalid })
	must(t, err)
	lww, err := BuiltinResolver("lww")
	must(t, err)
	versions := versionsOf("a", "b")
	encoded, err := versions[0].Encode()
	must(t, err)
	// Each is done `rounds / share` times.
	for name, work := range map[string]struct {
		share int
		do    func()
	}{
		"errors":        {1, func() { store.Put(key, nil, &Write{Durability: 9}) }},
		"options":       {1, func() { Open(background, "", &Options{Settings: map[string]string{"create": "maybe"}}) }},
		"reads":         {1, func() { store.Get(key); store.Get(large); store.GetMany([][]byte{key, large}) }},
		"pins":          {1, func() { cluster.Get(background, key, nil); cluster.Get(background, large, nil) }},
		"tokens":        {1, func() { MergeTokens(token, token) }},
		"batches":       {1, func() { batch := store.Batch(); batch.Put(key, large, 0); batch.Close() }},
		"lost batches":  {10, func() { store.Batch().Put(key, large, 0) }},
		"snapshots":     {10, func() { snapshot, _ := store.Snapshot(); snapshot.Get(key); snapshot.Close() }},
		"scans":         {10, func() { scan, _ := store.Scan(nil); scan.Next(); scan.Close() }},
		"cluster scans": {10, func() { scan, _ := cluster.Scan(background, nil, nil); scan.Next(); scan.Close() }},
		"loads":         {100, func() { load, _ := store.Load(); load.Put(key, large, 0); load.Put(nil, nil, 0); load.Close() }},
		"sessions": {10, func() {
			session := cluster.Session()
			session.See(token)
			session.Get(background, key)
			session.Token()
		}},
		"many": {10, func() {
			cluster.GetMany(background, [][]byte{key, large}, nil)
			cluster.GetMany(background, nil, &Read{Consistency: 9})
		}},
		"deleted ranges": {10, func() { store.DeleteRange(background, &Range{Prefix: large}, nil) }},
		"estimates":      {50, func() { store.Approximate(nil); cluster.Approximate(nil, AnySlot) }},
		"health":         {20, func() { store.Health(); cluster.Health(); store.Metrics(); cluster.Metrics() }},
		"refused copies": {50, func() {
			Restore(background, dir, dir, nil)
			store.Backup(background, dir, false, nil)
			Repair(background, dir, dir, nil)
		}},
		"loggers": {100, func() { SetLogger(func(LogLevel, string, string) {}, LogInfo); SetLogger(nil, 0) }},
		"siblings": {5, func() {
			set := NewSiblingSet()
			set.Put(&versions[0])
			set.Apply(encoded)
			set.Versions()
			set.Encode()
			set.Context()
		}},
		"hybrid clocks":   {1, func() { clock, _ := NewHybridClock(0, 0, 0); clock.Send(1); clock.Send(1 << 50) }},
		"stamps":          {1, func() { stamp, _ := StampAt(1, 2, "n"); stamp.Encode(); _ = stamp.String(); ParseStamp("now") }},
		"typed keys":      {1, func() { typed, _ := EncodeKey(Tuple{"a", 1, key}); DecodeKey(typed); DecodeKey(large) }},
		"transactions":    {10, func() { transaction, _ := store.Begin(); transaction.Get(key); transaction.Close() }},
		"routers":         {10, func() { router, _ := DecodeRouter(ringBytes); router.Encode(); router.Nodes(key, 2) }},
		"plans":           {20, func() { ring.PlanAdd("c", 1) }},
		"clocks":          {1, func() { clock := NewVectorClock(); clock.Tick("a"); clock.Encode(); _ = clock.Clone().String() }},
		"versions":        {1, func() { versions[0].Encode(); DecodeKeyVersion(encoded); DecodeKeyVersion(key) }},
		"rules":           {1, func() { rule, _ := BuiltinResolver("max"); rule.Close() }},
		"own rules":       {1, func() { rule, _ := NewResolver("x", rejects); rule.Close(); NewResolver("lww", rejects) }},
		"resolving":       {1, func() { lww.Resolve(key, versions) }},
		"own resolving":   {5, func() { rule.Resolve(key, versions) }},
		"failing resolve": {2, func() { fails.Resolve(key, versions) }},
		"statistics":      {20, func() { store.Stats(); cluster.Status() }},
		"places":          {1, func() { ring.Locate(key); ring.NodeInfo(); ring.MarshalJSON() }},
		"weights":         {20, func() { ring.PlanReweight("a", 2); ring.PlanChange(nil) }},
		"revisions": {1, func() {
			_, revision, _ := store.GetRevision(key)
			store.SetIfRevision(key, Revision{}, nil, nil)
			_ = revision
		}},
		"counts": {1, func() {
			clock, _ := VectorClockOf(map[string]uint64{"a": 1})
			clock.Counts()
			VectorClockOf(map[string]uint64{"": 1})
		}},
		"topologies": {20, func() { cluster.Router() }},
	} {
		run := func() {
			for i := 0; i < rounds/work.share; i++ {
				work.do()
				// What finalizers free is freed in time.
				if i%500 == 499 {
					runtime.GC()
				}
			}
		}
		run()
		// A leak grows each time. What malloc keeps for itself, of routers that wait for their finalizers for example, does not.
		grown := 1 << 62
		for i := 0; i < 3 && grown > 512<<10; i++ {
			before := resident(t)
			run()
			if more := resident(t) - before; more < grown {
				grown = more
			}
		}
		t.Logf("%s: %d KiB", name, grown>>10)
		if grown > 512<<10 {
			t.Errorf("%s: memory has grown by %d bytes in %d rounds", name, grown, rounds/work.share)
		}
	}
}

func rejects([]byte, []KeyVersion) (Resolution, error) { return Resolution{}, ErrInvalid }
