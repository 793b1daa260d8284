package atoll

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
)

func TestSlotsAndShardsAreThoseOfEveryLanguage(t *testing.T) {
	var topology *Router
	compared := map[string]int{}
	for _, line := range lines(t, "routing/vectors/locate.tsv") {
		fields := strings.Split(line, "\t")
		compared[fields[0]]++
		if fields[0] == "topology" {
			var err error
			topology, err = DecodeRouter(bytesOf(t, fields[6]))
			must(t, err)
			found := fmt.Sprint(topology.Epoch(), topology.Places(), topology.ShardCount(), len(topology.Names()))
			if found != strings.Join(fields[2:6], " ") {
				t.Fatalf("%s: %s", fields[1], found)
			}
			continue
		}
		key := bytesOf(t, fields[1])
		place, err := topology.Locate(key)
		if fields[0] == "outside" {
			wants(t, err, ErrInvalid)
			continue
		}
		must(t, err)
		nodes, err := topology.ShardNodes(place.Shard)
		must(t, err)
		numbers := make([]string, len(nodes))
		for i, node := range nodes {
			for number, name := range topology.Names() {
				if name == node {
					numbers[i] = fmt.Sprint(number)
				}
			}
		}
		found := fmt.Sprint(place.Slot, "\t", place.Shard, "\t", place.Phase, "\t", place.MovingTo, "\t", place.Residency, "\t", strings.Join(numbers, ","))
		if found != strings.Join(fields[2:], "\t") || place.Version != topology.Epoch() {
			t.Fatalf("%s: %s", line, found)
		}
		if again, err := topology.SlotAt(place.Slot); err != nil || again != place {
			t.Fatalf("%s: the slot is in %+v, %v", line, again, err)
		}
		if again, err := topology.Nodes(key, 8); err != nil || !reflect.DeepEqual(again, nodes) {
			t.Fatalf("%s: routed to %v, %v", line, again, err)
		}
	}
	if compared["topology"] != 3 || compared["key"] != 1016 || compared["outside"] != 70 {
		t.Fatal(compared)
	}
	_, err := topology.SlotAt(topology.Places())
	wants(t, err, ErrInvalid)
	_, err = topology.ShardNodes(topology.ShardCount())
	wants(t, err, ErrInvalid)
	ring, err := NewRing([]string{"a"}, 0, "")
	must(t, err)
	_, err = ring.Locate([]byte("k"))
	wants(t, err, ErrInvalid)
	_, err = ring.SlotAt(0)
	wants(t, err, ErrInvalid)
	_, err = ring.ShardNodes(0)
	wants(t, err, ErrInvalid)
	if ring.ShardCount() != 0 {
		t.Fatal("a ring has no shards")
	}
}

func TestNodesHaveZonesThatKeepCopiesApart(t *testing.T) {
	var nodes []Node
	zones := map[string]string{}
	for i := 0; i < 6; i++ {
		node := Node{Name: fmt.Sprint("n", i), Weight: uint32(1 + i%2), Zone: fmt.Sprint("zone", i%3), Rack: fmt.Sprint("rack", i)}
		nodes, zones[node.Name] = append(nodes, node), node.Zone
	}
	slots, err := NewRouter(RouterSpec{Algorithm: "slots", Members: nodes, Settings: map[string]string{"slots": "64", "replicas": "3"}})
	must(t, err)
	found, err := slots.NodeInfo()
	must(t, err)
	if !reflect.DeepEqual(found, nodes) || slots.Algorithm() != "slots" || slots.Encoding() != "binary" || slots.Places() != 64 {
		t.Fatal(found, slots.Algorithm(), slots.Encoding(), slots.Places())
	}
	for i := 0; i < 200; i++ {
		names, err := slots.Nodes([]byte(fmt.Sprint(i)), 3)
		must(t, err)
		apart := map[string]bool{}
		for _, name := range names {
			apart[zones[name]] = true
		}
		if len(apart) != 3 {
			t.Fatalf("key %d lives on %v", i, names)
		}
	}
	_, err = NewRouter(RouterSpec{Algorithm: "slots", Members: []Node{{Name: "a", Weight: 1, Zone: "x\x00y"}}})
	wants(t, err, ErrInvalid)
}

func TestRoutersAreJSON(t *testing.T) {
	ring, err := NewRouter(RouterSpec{Algorithm: "ring", Nodes: []string{"a", "섬=2"}, Settings: map[string]string{"encoding": "decimal"}})
	must(t, err)
	written, err := json.Marshal(ring)
	must(t, err)
	again, err := RouterFromJSON(written)
	must(t, err)
	same := func(a, b *Router) {
		t.Helper()
		left, err := a.Encode()
		must(t, err)
		right, err := b.Encode()
		must(t, err)
		if string(left) != string(right) {
			t.Fatalf("%x and %x", left, right)
		}
	}
	same(ring, again)
	if again.Encoding() != "decimal" {
		t.Fatal(again.Encoding())
	}
	for _, wrong := range []string{"", "{}", "[]", `{"algorithm":"ring"`, "a\x00b"} {
		if _, err := RouterFromJSON(json.RawMessage(wrong)); err == nil {
			t.Fatalf("%q is no router", wrong)
		}
	}
	plan, heavier, err := ring.PlanReweight("a", 3)
	must(t, err)
	if plan.Moved <= 0 {
		t.Fatal(plan)
	}
	_, changed, err := ring.PlanChange(json.RawMessage(`{"reweight":{"node":"a","weight":3}}`))
	must(t, err)
	same(heavier, changed)
	_, _, err = ring.PlanReweight("none", 1)
	wants(t, err, ErrInvalid)
	_, _, err = ring.PlanChange(json.RawMessage(`{"melt":"a"}`))
	wants(t, err, ErrInvalid)
}
