package atoll

import (
	"bytes"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
)

func versionsOf(values ...string) []KeyVersion {
	versions := make([]KeyVersion, len(values))
	for i, value := range values {
		versions[i] = KeyVersion{Value: []byte(value), Stamp: uint64(10 + i), Node: uint64(len(values) - i), Incarnation: 1, Sequence: uint64(i + 1)}
	}
	return versions
}

func comesTo(t *testing.T, rule *Resolver, versions []KeyVersion, wanted string) {
	t.Helper()
	found, err := rule.Resolve([]byte("k"), versions)
	must(t, err)
	if len(found) != 1 || string(found[0].Value) != wanted || found[0].Deleted {
		t.Fatalf("%v instead of %q", found, wanted)
	}
}

func TestBuiltInRulesAnswer(t *testing.T) {
	names := BuiltinResolvers()
	if len(names) != 8 {
		t.Fatal(names)
	}
	for _, name := range names {
		rule, err := BuiltinResolver(name)
		must(t, err)
		if rule.Name() != name {
			t.Fatal(rule.Name())
		}
		must(t, rule.Close())
	}
	_, err := BuiltinResolver("latest")
	wants(t, err, ErrInvalid)
	_, err = BuiltinResolver("lww\x00")
	wants(t, err, ErrInvalid)
	versions := versionsOf("3", "7", "12")
	for name, wanted := range map[string]string{"lww": "12", "max": "12", "min": "3"} {
		rule, err := BuiltinResolver(name)
		must(t, err)
		comesTo(t, rule, versions, wanted)
	}
	siblings, err := BuiltinResolver("siblings")
	must(t, err)
	if found, err := siblings.Resolve(nil, versions); err != nil || len(found) != 3 || found[0].Node != 1 {
		t.Fatal(found, err)
	}
	if found, err := siblings.Resolve(nil, nil); err != nil || len(found) != 0 {
		t.Fatal(found, err)
	}
	counter, err := BuiltinResolver("counter")
	must(t, err)
	_, err = counter.Resolve(nil, versions)
	wants(t, err, ErrInvalid)
	_, err = counter.Present([]byte("?"))
	wants(t, err, ErrInvalid)
	must(t, counter.Close())
	must(t, counter.Close())
	_, err = counter.Resolve(nil, versions)
	wants(t, err, ErrClosed)
	priority, err := NodePriority("n-1", "n-2")
	must(t, err)
	comesTo(t, priority, versions, "12")
	if _, err := NodePriority(); err != nil {
		wants(t, err, ErrInvalid)
	}
}

func TestFunctionsDecide(t *testing.T) {
	longest := func(key []byte, versions []KeyVersion) (Resolution, error) {
		best := 0
		for i := range versions {
			if len(versions[i].Value) > len(versions[best].Value) {
				best = i
			}
		}
		return Keep(best), nil
	}
	versions := versionsOf("short", "the longest", "섬")
	for name, asked := range map[string]struct {
		function ResolveFunc
		wanted   string
	}{
		"keeps": {longest, "the longest"},
		"becomes": {func(key []byte, versions []KeyVersion) (Resolution, error) {
			var all [][]byte
			for _, version := range versions {
				all = append(all, version.Value)
			}
			return Become(append(append(key, ':'), bytes.Join(all, []byte("|"))...)), nil
		}, "k:섬|the longest|short"},
		"becomes empty": {func([]byte, []KeyVersion) (Resolution, error) { return Become(nil), nil }, ""},
		"asks another": {func(key []byte, versions []KeyVersion) (Resolution, error) {
			lww, err := BuiltinResolver("lww")
			if err != nil {
				return Resolution{}, err
			}
			defer lww.Close()
			found, err := lww.Resolve(key, versions)
			if err != nil {
				return Resolution{}, err
			}
			return Become(found[0].Value), nil
		}, "섬"},
	} {
		rule, err := NewResolver("mine", asked.function)
		must(t, err)
		t.Log(name)
		comesTo(t, rule, versions, asked.wanted)
		must(t, rule.Close())
	}
	rule, err := NewResolver("gone", func([]byte, []KeyVersion) (Resolution, error) { return Remove(), nil })
	must(t, err)
	if found, err := rule.Resolve(nil, versions); err != nil || len(found) != 1 || !found[0].Deleted {
		t.Fatal(found, err)
	}
	if found, err := rule.Resolve(nil, versions[:1]); err != nil || len(found) != 1 || found[0].Deleted {
		t.Fatal("one version needs no function", found, err)
	}
}

func TestFunctionsThatFailAreErrorsWithAReason(t *testing.T) {
	versions := versionsOf("a", "b")
	for reason, function := range map[string]ResolveFunc{
		"the moon is full":    func([]byte, []KeyVersion) (Resolution, error) { return Keep(0), errors.New("the moon is full") },
		"before\\0after":      func([]byte, []KeyVersion) (Resolution, error) { return Keep(0), errors.New("before\x00after") },
		"panicked: on":        func([]byte, []KeyVersion) (Resolution, error) { panic("on purpose") },
		"out of range":        func(_ []byte, versions []KeyVersion) (Resolution, error) { return Become(versions[2].Value), nil },
		"ended its goroutine": func([]byte, []KeyVersion) (Resolution, error) { runtime.Goexit(); return Keep(0), nil },
		"no resolution":       func([]byte, []KeyVersion) (Resolution, error) { return Resolution{}, nil },
		"resolution that":     func([]byte, []KeyVersion) (Resolution, error) { return Keep(2), nil },
		"that there is":       func([]byte, []KeyVersion) (Resolution, error) { return Keep(-1), nil },
		"has returned no":     func([]byte, []KeyVersion) (Resolution, error) { return Become(make([]byte, 64<<20+1)), nil },
	} {
		rule, err := NewResolver("mine", function)
		must(t, err)
		for i := 0; i < 3; i++ {
			_, err = rule.Resolve([]byte("k"), versions)
			if wants(t, err, ErrCallback); !strings.Contains(err.Error(), reason) {
				t.Fatalf("%q does not say %q", err, reason)
			}
		}
		must(t, rule.Close())
	}
	_, err := NewResolver("mine", nil)
	wants(t, err, ErrInvalid)
	for _, name := range []string{"", "lww", "a\x00", "\xff"} {
		_, err = NewResolver(name, func([]byte, []KeyVersion) (Resolution, error) { return Keep(0), nil })
		wants(t, err, ErrInvalid)
	}
}

func TestARuleMayBeClosedByItsFunctionAndByOthers(t *testing.T) {
	versions := versionsOf("a", "b")
	var rule *Resolver
	rule, err := NewResolver("mine", func([]byte, []KeyVersion) (Resolution, error) { return Keep(0), rule.Close() })
	must(t, err)
	comesTo(t, rule, versions, "b")
	_, err = rule.Resolve(nil, versions)
	wants(t, err, ErrClosed)
	for round := 0; round < 50; round++ {
		rule, err := NewResolver("mine", func([]byte, []KeyVersion) (Resolution, error) { return Keep(1), nil })
		must(t, err)
		var group sync.WaitGroup
		for worker := 0; worker < 4; worker++ {
			group.Add(1)
			go func(worker int) {
				defer group.Done()
				for i := 0; i < 10; i++ {
					if _, err := rule.Resolve(nil, versions); err != nil && !errors.Is(err, ErrClosed) {
						t.Error(err)
					}
				}
				if worker < 2 {
					rule.Close()
				}
			}(worker)
		}
		group.Wait()
	}
}

func TestRulesThatDependOnTheOrderAreFound(t *testing.T) {
	values := [][]byte{[]byte("a"), []byte("b"), []byte("ab")}
	// What was merged before is not among what is shown again: joining is not idempotent.
	joined, err := NewResolver("joined", func(_ []byte, versions []KeyVersion) (Resolution, error) {
		return Become(append(append([]byte(nil), versions[0].Value...), versions[1].Value...)), nil
	})
	must(t, err)
	text, err := joined.Check(1, 0, values)
	must(t, err)
	if text == "" {
		t.Fatal("a rule that breaks what it owes was not found out")
	}
	again, err := joined.Check(1, 0, values)
	must(t, err)
	if again != text {
		t.Fatal("the same seed has searched other cases")
	}
	lww, err := BuiltinResolver("lww")
	must(t, err)
	if text, err := lww.Check(1, 200, values); err != nil || text != "" {
		t.Fatal(text, err)
	}
}

func TestVersionsAndContextsAreThoseOfEveryLanguage(t *testing.T) {
	version := &KeyVersion{Value: []byte("섬"), Stamp: 7, Node: 1 << 63, Sequence: 3, Incarnation: 2}
	data, err := version.Encode()
	must(t, err)
	back, err := DecodeKeyVersion(data)
	must(t, err)
	if fmt.Sprint(back.Value, back.Stamp, back.Node, back.Sequence, back.Incarnation, back.Deleted) !=
		fmt.Sprint(version.Value, version.Stamp, version.Node, version.Sequence, version.Incarnation, version.Deleted) {
		t.Fatal(back)
	}
	again, err := back.Encode()
	must(t, err)
	if !bytes.Equal(again, data) {
		t.Fatal("a version has two forms")
	}
	for n := range data {
		_, err = DecodeKeyVersion(data[:n])
		wants(t, err, ErrCorrupt)
	}
	_, err = (&KeyVersion{Value: []byte("v"), Sequence: 1, Deleted: true}).Encode()
	wants(t, err, ErrInvalid)
	_, err = (&KeyVersion{}).Encode()
	wants(t, err, ErrInvalid)
	_, err = (&KeyVersion{Sequence: 1, Context: []byte("nonsense")}).Encode()
	wants(t, err, ErrCorrupt)
	if order, err := CompareContexts(nil, nil); err != nil || order != Equal {
		t.Fatal(order, err)
	}
	if order, err := CompareContexts(nil, back.Context); err != nil || order != Equal {
		t.Fatal(order, err)
	}
	_, err = CompareContexts([]byte("nonsense"), nil)
	wants(t, err, ErrCorrupt)
	merged, err := MergeContexts(nil, back.Context)
	must(t, err)
	if order, err := CompareContexts(merged, back.Context); err != nil || order != Equal {
		t.Fatal(order, err)
	}
}
