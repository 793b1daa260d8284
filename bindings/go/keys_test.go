package atoll

import (
	"encoding/hex"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"
)

// typed reads a tuple of the vectors: words such as `t:61 ( i:1 ) b:`.
func typed(t *testing.T, given string) Tuple {
	t.Helper()
	open := []Tuple{{}}
	for _, word := range strings.Fields(given) {
		var value any
		kind, part := word[0], strings.TrimPrefix(word[1:], ":")
		switch kind {
		case '(':
			open = append(open, Tuple{})
			continue
		case ')':
			value = open[len(open)-1]
			open = open[:len(open)-1]
		case 'i':
			number, err := strconv.ParseInt(part, 10, 64)
			must(t, err)
			value = number
		case 't':
			value = string(bytesOf(t, part))
		case 'u':
			var id UUID
			copy(id[:], bytesOf(t, part))
			value = id
		default:
			value = bytesOf(t, part)
		}
		open[len(open)-1] = append(open[len(open)-1], value)
	}
	return open[0]
}

func TestTypedKeysAreThoseOfEveryLanguage(t *testing.T) {
	compared := 0
	for _, line := range lines(t, "routing/vectors/key-encoding.tsv") {
		fields := strings.Split(line, "\t")
		kind, given := fields[0], fields[1]
		compared++
		same := func(key []byte, err error, wanted string) {
			t.Helper()
			if err != nil || hex.EncodeToString(key) != wanted {
				t.Fatal(line, err, hex.EncodeToString(key))
			}
		}
		switch kind {
		case "int":
			same(encoded(t, given, fields[2]), nil, fields[3])
			if fields[2] == "binary" {
				number, err := strconv.ParseInt(given, 10, 64)
				must(t, err)
				key, err := EncodeKey(number)
				same(key, err, fields[3])
			}
		case "text":
			key, err := EncodeKey(string(bytesOf(t, given)))
			same(key, err, fields[2])
		case "uuid":
			var id UUID
			copy(id[:], bytesOf(t, strings.ReplaceAll(given, "-", "")))
			key, err := EncodeKey(id)
			same(key, err, fields[2])
		case "tuple":
			tuple := typed(t, given)
			key, err := EncodeKey(tuple)
			same(key, err, fields[2])
			back, err := DecodeKey(key)
			must(t, err)
			if !reflect.DeepEqual(back, tuple) {
				t.Fatal(line, back)
			}
		case "bigint":
			if _, err := strconv.ParseInt(given, 10, 64); err == nil {
				t.Fatal("it fits: ", line)
			}
		case "badtuple":
			_, err := DecodeKey(bytesOf(t, given))
			wants(t, err, ErrInvalid)
		case "badtext":
			_, err := EncodeKey(string(bytesOf(t, given)))
			wants(t, err, ErrInvalid)
		default:
			t.Fatal(line)
		}
	}
	if compared != 340 {
		t.Fatal(compared)
	}
}

func TestKeysOfWrongTypesAreRefused(t *testing.T) {
	for _, key := range []any{nil, 1.5, true, uint64(1), struct{}{}, Tuple{1, 1.5}, []string{"a"}} {
		_, err := EncodeKey(key)
		wants(t, err, ErrInvalid)
	}
	deep := Tuple{}
	for i := 0; i < deepest; i++ {
		deep = Tuple{deep}
	}
	key, err := EncodeKey(deep)
	must(t, err)
	if back, err := DecodeKey(key); err != nil || !reflect.DeepEqual(back, deep) {
		t.Fatal(back, err)
	}
	_, err = EncodeKey(Tuple{deep})
	wants(t, err, ErrInvalid)
	for _, small := range []any{int(7), int32(7), int16(7), int8(7), uint32(7), uint16(7), uint8(7)} {
		key, err := EncodeKey(small)
		must(t, err)
		if string(key) != string(EncodeInt(7)) {
			t.Fatal(small, key)
		}
	}
}

func TestStampsAreThoseOfEveryLanguage(t *testing.T) {
	compared := 0
	for _, line := range lines(t, "compat/golden/stamps.tsv") {
		fields := strings.Split(line, "\t")
		stamp, err := ParseStamp(fields[0])
		must(t, err)
		data, err := stamp.Encode()
		must(t, err)
		back, err := DecodeStamp(data)
		must(t, err)
		if hex.EncodeToString(data) != fields[1] || stamp.String() != fields[0] || back != stamp {
			t.Fatal(line, stamp)
		}
		again, err := StampAt(stamp.WallMs(), stamp.Counter(), stamp.Node)
		must(t, err)
		if again != stamp {
			t.Fatal(line, again)
		}
		compared++
	}
	for _, line := range lines(t, "compat/golden/versions.tsv") {
		fields := strings.Split(line, "\t")
		switch fields[0] {
		case "hlc":
			stamp, err := ParseStamp(fields[1])
			must(t, err)
			if fmt.Sprint(stamp.Packed) != fields[2] || stamp.Node != fields[3] {
				t.Fatal(line, stamp)
			}
			compared++
		case "badhlc":
			_, err := ParseStamp(fields[1])
			wants(t, err, ErrInvalid)
		}
	}
	if compared < 150 {
		t.Fatal(compared)
	}
	earlier, err := StampAt(1, 2, "b")
	must(t, err)
	later, err := StampAt(1, 3, "a")
	must(t, err)
	left, _ := earlier.Encode()
	right, _ := later.Encode()
	if order, err := CompareStamps(left, right); err != nil || order != -1 {
		t.Fatal(order, err)
	}
	if _, err = StampAt(1<<48, 0, "a"); err == nil {
		t.Fatal("49 bits")
	}
	_, err = DecodeStamp(nil)
	wants(t, err, ErrCorrupt)
}

func TestHybridClocksNeverGoBack(t *testing.T) {
	clock, err := NewHybridClock(0, 0, 0)
	must(t, err)
	one, err := clock.Send(1000)
	must(t, err)
	two, err := clock.Send(400)
	must(t, err)
	if one.Packed>>16 != 1000 || one.Persist == 0 || two.Packed <= one.Packed || two.Persist != 0 || two.Ahead.Milliseconds() != 600 {
		t.Fatal(one, two)
	}
	if _, err = clock.Observe(1400<<16, 1000); err != nil {
		t.Fatal(err)
	}
	before, mark := clock.Last()
	_, err = clock.Observe(20000<<16, 1000)
	wants(t, err, ErrConflict)
	if after, _ := clock.Last(); after != before || mark < before {
		t.Fatal(after, before, mark)
	}
	again, err := NewHybridClock(mark, 0, 0)
	must(t, err)
	if three, err := again.Send(0); err != nil || three.Packed <= before {
		t.Fatal(three, err)
	}
	if now, err := again.Send(Now); err != nil || now.Packed>>16 < 1_700_000_000_000 {
		t.Fatal(now, err)
	}
	_, err = NewHybridClock(0, 100*time.Millisecond, 200*time.Millisecond)
	wants(t, err, ErrInvalid)
	_, err = clock.Send(1 << 48)
	wants(t, err, ErrInvalid)
}

func TestSiblingsAgreeWhateverTheOrder(t *testing.T) {
	here, there := NewSiblingSet(), NewSiblingSet()
	one, err := here.Put(&KeyVersion{Value: []byte("seoul"), Stamp: 10, Node: 1, Sequence: 1})
	must(t, err)
	two, err := there.Put(&KeyVersion{Value: []byte("busan"), Stamp: 20, Node: 2, Sequence: 1})
	must(t, err)
	must(t, here.Apply(two))
	must(t, here.Apply(two))
	must(t, there.Apply(one))
	same := func() {
		t.Helper()
		left, err := here.Encode()
		must(t, err)
		right, err := there.Encode()
		must(t, err)
		if string(left) != string(right) {
			t.Fatal(left, right)
		}
	}
	same()
	rule, err := BuiltinResolver("lww")
	must(t, err)
	if winner, err := here.Resolve(rule, []byte("k")); err != nil || len(winner) != 1 || string(winner[0].Value) != "busan" {
		t.Fatal(winner, err)
	}
	seen, err := here.Context()
	must(t, err)
	_, err = here.Put(&KeyVersion{Value: []byte("early"), Context: seen, Stamp: 15, Node: 1, Sequence: 2})
	wants(t, err, ErrInvalid)
	_, err = here.Put(&KeyVersion{Value: []byte("both"), Context: seen, Stamp: 30, Node: 1, Sequence: 2})
	must(t, err)
	must(t, there.Merge(here))
	same()
	if all, err := there.Versions(); err != nil || len(all) != 1 || string(all[0].Value) != "both" {
		t.Fatal(all, err)
	}
	data, err := here.Encode()
	must(t, err)
	if again, err := DecodeSiblingSet(data); err != nil || again == nil {
		t.Fatal(err)
	}
	_, err = DecodeSiblingSet(data[:len(data)-1])
	wants(t, err, ErrCorrupt)
	wants(t, here.Apply([]byte("nonsense")), ErrCorrupt)
}

func TestPlacesAreThoseOfEveryLanguage(t *testing.T) {
	compared := map[string]int{}
	var router *Router
	for _, line := range lines(t, "routing/vectors/locate.tsv") {
		fields := strings.Split(line, "\t")
		compared[fields[0]]++
		var err error
		switch fields[0] {
		case "topology":
			router, err = DecodeRouter(bytesOf(t, fields[6]))
			must(t, err)
			if fmt.Sprint(router.Epoch()) != fields[2] {
				t.Fatal(line)
			}
		case "outside":
			_, err = router.Locate(bytesOf(t, fields[1]))
			wants(t, err, ErrInvalid)
		case "key":
			key := bytesOf(t, fields[1])
			place, err := router.Locate(key)
			must(t, err)
			found := []string{fmt.Sprint(place.Slot), fmt.Sprint(place.Shard), place.Phase.String(), fmt.Sprint(place.MovingTo), fmt.Sprint(place.Residency)}
			if !reflect.DeepEqual(found, fields[2:7]) {
				t.Fatal(line, found)
			}
			names, err := router.Nodes(key, 8)
			must(t, err)
			for i, number := range strings.Split(fields[7], ",") {
				n, err := strconv.Atoi(number)
				must(t, err)
				if names[i] != router.Names()[n] {
					t.Fatal(line, names)
				}
			}
		}
	}
	if !reflect.DeepEqual(compared, map[string]int{"topology": 3, "key": 1016, "outside": 70}) {
		t.Fatal(compared)
	}
	ring, err := NewRing([]string{"a"}, 0, "")
	must(t, err)
	_, err = ring.Locate([]byte("k"))
	wants(t, err, ErrInvalid)
}
