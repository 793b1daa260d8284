package atoll

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// The golden files lie in the source tree; a copy of the package alone has none.
const sources = "../../core/tests"

func lines(t *testing.T, name string) []string {
	t.Helper()
	file, err := os.Open(filepath.Join(sources, name))
	if err != nil {
		t.Skip("without the sources there are no golden files")
	}
	defer file.Close()
	var all []string
	scanner := bufio.NewScanner(file)
	scanner.Buffer(nil, 16<<20)
	for scanner.Scan() {
		all = append(all, scanner.Text())
	}
	must(t, scanner.Err())
	return all
}

func bytesOf(t *testing.T, digits string) []byte {
	t.Helper()
	bytes, err := hex.DecodeString(digits)
	must(t, err)
	return bytes
}

func encoded(t *testing.T, number, encoding string) []byte {
	t.Helper()
	integer, err := strconv.ParseInt(number, 10, 64)
	must(t, err)
	if encoding == "decimal" {
		return EncodeDecimal(integer)
	}
	return EncodeInt(integer)
}

// One line of the vectors: the options of `atoll route`.
type configuration struct {
	spec     RouterSpec
	names    []string
	replicas int
	input    string
	encoding string
	byNumber bool
}

func configured(t *testing.T, options string) configuration {
	t.Helper()
	c := configuration{replicas: 1, input: "hex", spec: RouterSpec{Settings: map[string]string{}}}
	words := strings.Split(options, " ")
	splits := ""
	for i := 0; i < len(words); i++ {
		name := strings.TrimPrefix(words[i], "--")
		if name == "json" {
			c.byNumber = true
			continue
		}
		i++
		switch value := words[i]; name {
		case "algorithm":
			c.spec.Algorithm = value
		case "input":
			c.input = value
		case "nodes":
			c.spec.Nodes = strings.Split(value, ",")
			for _, node := range c.spec.Nodes {
				if at := strings.LastIndexByte(node, '='); at >= 0 {
					node = node[:at]
				}
				c.names = append(c.names, node)
			}
		case "buckets":
			buckets, err := strconv.ParseUint(value, 10, 32)
			must(t, err)
			c.spec.Buckets = uint32(buckets)
		case "replicas":
			c.replicas, _ = strconv.Atoi(value)
		case "split-at":
			splits = value
		case "encoding":
			c.encoding = value
			c.spec.Settings[name] = value
		default:
			c.spec.Settings[strings.ReplaceAll(name, "-", "_")] = value
		}
	}
	if splits != "" {
		for _, split := range strings.Split(splits, ",") {
			if c.input == "i64" {
				c.spec.Splits = append(c.spec.Splits, encoded(t, split, c.encoding))
			} else {
				c.spec.Splits = append(c.spec.Splits, bytesOf(t, split))
			}
		}
	}
	return c
}

func (c *configuration) ask(t *testing.T, router *Router, line string) string {
	t.Helper()
	if c.input == "u64" {
		number, err := strconv.ParseUint(line, 10, 64)
		must(t, err)
		bucket, err := router.BucketOf(number)
		must(t, err)
		return fmt.Sprint(bucket)
	}
	var key []byte
	if c.input == "i64" {
		key = encoded(t, line, c.encoding)
	} else {
		key = bytesOf(t, line)
	}
	if c.byNumber || len(c.names) == 0 {
		number, err := router.Number(key)
		must(t, err)
		return fmt.Sprint(number)
	}
	nodes, err := router.Nodes(key, c.replicas)
	must(t, err)
	var positions []string
	for _, node := range nodes {
		for i, name := range c.names {
			if name == node {
				positions = append(positions, fmt.Sprint(i))
			}
		}
	}
	return strings.Join(positions, ",")
}

func TestRoutersAnswerAsTheVectorsSay(t *testing.T) {
	formats := "modulo ring jump hrw maglev ketama ketama-copies ketama-uhashring nginx redis cassandra range slots"
	for _, format := range strings.Fields(formats) {
		compared := 0
		for _, line := range lines(t, "routing/vectors/"+format+".tsv") {
			options, answers, _ := strings.Cut(line, "\t")
			c := configured(t, options)
			file := map[string]string{"hex": "keys.hex", "i64": "i64.txt", "u64": "u64.txt"}[c.input]
			keys := lines(t, "routing/vectors/"+file)
			router, err := NewRouter(c.spec)
			must(t, err)
			for i, answer := range strings.Split(answers, " ") {
				if i == len(keys)/2 {
					// From here on a router that has been bytes in between.
					data, err := router.Encode()
					must(t, err)
					router, err = DecodeRouter(data)
					must(t, err)
				}
				if answer == "x" {
					continue
				}
				compared++
				if got := c.ask(t, router, keys[i]); got != answer {
					t.Fatalf("%s: key %q gives %s instead of %s", options, keys[i], got, answer)
				}
			}
		}
		if compared < 1000 {
			t.Fatalf("%s: only %d answers", format, compared)
		}
		t.Logf("%s: %d answers", format, compared)
	}
}

func TestTopologiesAreRouters(t *testing.T) {
	for _, name := range []string{"hash", "range", "features"} {
		data := bytesOf(t, strings.Join(lines(t, "routing/golden/topology-1-"+name+".hex"), ""))
		router, err := DecodeRouter(data)
		must(t, err)
		if len(router.Names()) == 0 {
			t.Fatal("no nodes")
		}
		_, err = DecodeRouter(data[1:])
		if err == nil {
			t.Fatal("damage is not noticed")
		}
	}
}

func TestPlansSayWhatMoves(t *testing.T) {
	ring, err := NewRing([]string{"a", "b=2", "c"}, 0, "sha1")
	must(t, err)
	plan, after, err := ring.PlanAdd("d", 1)
	must(t, err)
	if plan.MovedBetweenOldNodes != 0 || plan.Moved < 0.1 || plan.Moved > 0.4 || len(plan.JSON) == 0 {
		t.Fatal(plan)
	}
	var keys [][]byte
	for i := 0; i < 2000; i++ {
		keys = append(keys, []byte(fmt.Sprint("key-", i)))
	}
	before, err := ring.RouteMany(keys)
	must(t, err)
	for i, key := range keys {
		was, err := ring.Node(key)
		must(t, err)
		is, err := after.Node(key)
		must(t, err)
		if was != ring.Names()[before[i]] || (was != is && is != "d") {
			t.Fatal(was, is)
		}
	}
	_, back, err := after.PlanRemove("d")
	must(t, err)
	one, _ := back.Encode()
	other, _ := ring.Encode()
	if string(one) != string(other) {
		t.Fatal("adding and removing a node leaves something behind")
	}
	_, _, err = ring.PlanRemove("nobody")
	wants(t, err, ErrInvalid)
	if nodes, err := ring.Nodes([]byte("k"), 9); err != nil || len(nodes) != 3 {
		t.Fatal(nodes, err)
	}
}

func TestRoutersRefuseWhatTheyCannotBe(t *testing.T) {
	for _, spec := range []RouterSpec{
		{Algorithm: "ring"},
		{Algorithm: "roundrobin", Nodes: []string{"a"}},
		{Algorithm: "ring", Nodes: []string{"a", "a"}},
		{Algorithm: "ring", Nodes: []string{"a=x"}},
		{Algorithm: "ring", Nodes: []string{""}},
		{Algorithm: "jump", Buckets: 4, Settings: map[string]string{"vnodes": "4"}},
		{Algorithm: "range", Splits: [][]byte{[]byte("b"), []byte("a")}},
	} {
		_, err := NewRouter(spec)
		wants(t, err, ErrInvalid)
	}
	for _, make := range []func() (*Router, error){
		func() (*Router, error) { return NewSlots([]string{"a", "b"}, 64, 2) },
		func() (*Router, error) { return NewRange([][]byte{[]byte("m")}, []string{"a", "b"}) },
		func() (*Router, error) { return NewModulo([]string{"a", "b"}, "md5") },
		func() (*Router, error) { return NewHRW([]string{"a", "b"}) },
		func() (*Router, error) { return NewMaglev([]string{"a", "b"}, 101) },
		func() (*Router, error) { return NewKetama([]string{"a", "b"}) },
	} {
		router, err := make()
		must(t, err)
		if node, err := router.Node([]byte("k")); err != nil || (node != "a" && node != "b") {
			t.Fatal(node, err)
		}
	}
	jump, err := NewJump(8)
	must(t, err)
	_, err = jump.Node([]byte("k"))
	wants(t, err, ErrInvalid)
}

func TestClocksAreThoseOfEveryLanguage(t *testing.T) {
	compared := 0
	for _, line := range lines(t, "compat/golden/versions.tsv") {
		fields := strings.Split(line, "\t")
		if fields[0] != "clock" {
			continue
		}
		compared++
		clock, err := DecodeVectorClock(bytesOf(t, fields[2]))
		must(t, err)
		parsed, err := ParseVectorClock(fields[1])
		must(t, err)
		data, err := parsed.Encode()
		must(t, err)
		if clock.String() != fields[1] || hex.EncodeToString(data) != fields[2] {
			t.Fatal(fields)
		}
	}
	if compared < 10 {
		t.Fatal(compared)
	}
}

func TestClocksKnowWhatCameFirst(t *testing.T) {
	a := NewVectorClock()
	_, err := a.Tick("A")
	must(t, err)
	b := a.Clone()
	order := func(one, other *VectorClock, wanted Order) {
		t.Helper()
		if got, err := one.Compare(other); err != nil || got != wanted {
			t.Fatal(got, err)
		}
	}
	order(a, b, Equal)
	b.Tick("B")
	order(a, b, Before)
	order(b, a, After)
	a.Tick("A")
	order(a, b, Concurrent)
	must(t, a.Merge(b))
	if a.String() != `{"A":2,"B":1}` {
		t.Fatal(a)
	}
	if count, err := a.Get("C"); err != nil || count != 0 {
		t.Fatal(count, err)
	}
	_, err = a.Tick("")
	wants(t, err, ErrInvalid)
	_, err = ParseVectorClock(`{"A":-1}`)
	wants(t, err, ErrInvalid)
	_, err = DecodeVectorClock([]byte{9})
	wants(t, err, ErrCorrupt)
}
