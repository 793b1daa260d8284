package atoll

/*
#include "views.h"
#include <stdlib.h>

typedef struct { atoll_status status; atoll_bytes value; atoll_error *err; } view_answer;
typedef struct { atoll_status status; int64_t number; atoll_error *err; } number_answer;

static view_answer router_node(const atoll_router *router, const uint8_t *key, size_t n)
{
	view_answer answer = {ATOLL_OK, {NULL, 0}, NULL};
	answer.status = atoll_router_node(router, key, n, &answer.value, &answer.err);
	answer.value = seen_by_go(answer.value);
	return answer;
}

static atoll_bytes node_at(const atoll_router *router, size_t i)
{
	atoll_bytes name = {NULL, 0};
	atoll_router_node_at(router, i, &name, NULL);
	return seen_by_go(name);
}

static atoll_status router_nodes(const atoll_router *router, const void *key, size_t n, atoll_bytes *nodes, size_t room, size_t *found,
                                 atoll_error **err)
{
	atoll_status status = atoll_router_nodes(router, key, n, nodes, room, found, err);
	if (status == ATOLL_OK)
		for (size_t i = 0; i < *found && i < room; i++)
			nodes[i] = seen_by_go(nodes[i]);
	return status;
}

static number_answer router_number(const atoll_router *router, const uint8_t *key, size_t n)
{
	number_answer answer = {ATOLL_OK, 0, NULL};
	answer.status = atoll_router_number(router, key, n, &answer.number, &answer.err);
	return answer;
}

static atoll_status encode_int(int64_t integer, uint32_t encoding, atoll_buf **key, atoll_error **err)
{
	atoll_key_part part = {ATOLL_KEY_INT, 0, 0, {NULL, 0}};
	part.integer = integer;
	return atoll_encode_key(&part, 1, encoding, key, err);
}
*/
import "C"

import (
	"encoding/json"
	"runtime"
	"strconv"
	"strings"
	"unsafe"
)

// Router says where keys live. It never changes: any number of goroutines may use it at once.
type Router struct {
	router *C.atoll_router
	// Names of the nodes, so that an answer is no new string.
	names []string
}

func newRouter(router *C.atoll_router) *Router {
	made := &Router{router: router}
	for i := C.size_t(0); i < C.atoll_router_node_count(router); i++ {
		name := C.node_at(router, i)
		made.names = append(made.names, string(copied(name.data, name.len)))
	}
	runtime.SetFinalizer(made, func(r *Router) { C.atoll_router_free(r.router) })
	return made
}

// RouterSpec says what a router is to look like. Nodes are "NAME" or "NAME=WEIGHT".
type RouterSpec struct {
	// Algorithm is slots, ring, range, modulo, jump, hrw, maglev, ketama, nginx, redis or cassandra.
	Algorithm string
	Nodes     []string
	// Members are further nodes, after those, with their zones and racks, which slots keep copies apart by.
	Members []Node
	// Buckets are numbers in place of nodes: modulo and jump.
	Buckets uint32
	// Splits of range: ascending encoded keys, each the first one of the range after it.
	Splits [][]byte
	// Settings are further options by name: hash, encoding, locality, vnodes, table_size, slots, replicas.
	Settings map[string]string
}

// NewRouter makes a router. ErrInvalid for what the algorithm cannot be; an option it does not have is refused by name.
func NewRouter(spec RouterSpec) (*Router, error) {
	algorithm, wrong := cText("the algorithm", spec.Algorithm)
	if wrong != nil {
		return nil, wrong
	}
	defer free(algorithm)
	var made *C.atoll_router_spec
	var err *C.atoll_error
	if status := C.atoll_router_spec_new(algorithm, &made, &err); status != C.ATOLL_OK {
		return nil, failure(status, err)
	}
	defer C.atoll_router_spec_free(made)
	for _, node := range spec.Nodes {
		name, weight := node, uint64(1)
		if at := strings.LastIndexByte(node, '='); at >= 0 {
			number, wrong := strconv.ParseUint(node[at+1:], 10, 32)
			if wrong != nil {
				return nil, &Error{Status: ErrInvalid.Status, Message: "the weight of node " + strconv.Quote(node) + " is not a whole number"}
			}
			name, weight = node[:at], number
		}
		status := C.atoll_router_spec_add_node(made, text(name), C.size_t(len(name)), C.uint32_t(weight), nil, nil, &err)
		if status != C.ATOLL_OK {
			return nil, failure(status, err)
		}
	}
	for _, node := range spec.Members {
		if wrong := addMember(made, node); wrong != nil {
			return nil, wrong
		}
	}
	for _, split := range spec.Splits {
		if status := C.atoll_router_spec_add_split(made, pointer(split), C.size_t(len(split)), &err); status != C.ATOLL_OK {
			return nil, failure(status, err)
		}
	}
	set := func(name, value string) error {
		cName, wrong := cText("the option", name)
		if wrong != nil {
			return wrong
		}
		defer free(cName)
		cValue, wrong := cText("the value of "+name, value)
		if wrong != nil {
			return wrong
		}
		defer free(cValue)
		var err *C.atoll_error
		return failure(C.atoll_router_spec_set(made, cName, cValue, &err), err)
	}
	if spec.Buckets > 0 {
		if err := set("buckets", strconv.FormatUint(uint64(spec.Buckets), 10)); err != nil {
			return nil, err
		}
	}
	for name, value := range spec.Settings {
		if err := set(name, value); err != nil {
			return nil, err
		}
	}
	var router *C.atoll_router
	if status := C.atoll_router_new(made, &router, &err); status != C.ATOLL_OK {
		return nil, failure(status, err)
	}
	return newRouter(router), nil
}

func addMember(spec *C.atoll_router_spec, node Node) error {
	// NULL where there is none: an empty zone would be one that nodes share.
	domains := [2]*C.char{}
	for i, name := range [2]string{node.Zone, node.Rack} {
		if name == "" {
			continue
		}
		domain, wrong := cText("the zone or rack", name)
		if wrong != nil {
			return wrong
		}
		defer free(domain)
		domains[i] = domain
	}
	var err *C.atoll_error
	status := C.atoll_router_spec_add_node(spec, text(node.Name), C.size_t(len(node.Name)), C.uint32_t(node.Weight), domains[0], domains[1], &err)
	return failure(status, err)
}

// NewRing makes a ring of consistent hashing with vnodes points for each unit of weight (0: 160), over a hash ("": xxh3).
func NewRing(nodes []string, vnodes int, hash string) (*Router, error) {
	settings := map[string]string{}
	if vnodes != 0 {
		settings["vnodes"] = strconv.Itoa(vnodes)
	}
	if hash != "" {
		settings["hash"] = hash
	}
	return NewRouter(RouterSpec{Algorithm: "ring", Nodes: nodes, Settings: settings})
}

// NewSlots makes hash slots (0: 4096) placed on nodes, with so many copies of each (0: 1): what clusters use.
func NewSlots(nodes []string, slots, replicas int) (*Router, error) {
	settings := map[string]string{}
	if slots != 0 {
		settings["slots"] = strconv.Itoa(slots)
	}
	if replicas != 0 {
		settings["replicas"] = strconv.Itoa(replicas)
	}
	return NewRouter(RouterSpec{Algorithm: "slots", Nodes: nodes, Settings: settings})
}

// NewRange makes ranges of encoded keys. Nodes may be nil: answers are numbers then.
func NewRange(splits [][]byte, nodes []string) (*Router, error) {
	return NewRouter(RouterSpec{Algorithm: "range", Nodes: nodes, Splits: splits})
}

// NewModulo makes hash mod N over nodes, by a hash ("": xxh3).
func NewModulo(nodes []string, hash string) (*Router, error) {
	settings := map[string]string{}
	if hash != "" {
		settings["hash"] = hash
	}
	return NewRouter(RouterSpec{Algorithm: "modulo", Nodes: nodes, Settings: settings})
}

// NewJump makes a jump consistent hash over numbered buckets.
func NewJump(buckets uint32) (*Router, error) {
	return NewRouter(RouterSpec{Algorithm: "jump", Buckets: buckets})
}

// NewHRW makes rendezvous hashing.
func NewHRW(nodes []string) (*Router, error) {
	return NewRouter(RouterSpec{Algorithm: "hrw", Nodes: nodes})
}

// NewMaglev makes the table of Google's load balancer; tableSize is a prime, 0: 65537.
func NewMaglev(nodes []string, tableSize int) (*Router, error) {
	settings := map[string]string{}
	if tableSize != 0 {
		settings["table_size"] = strconv.Itoa(tableSize)
	}
	return NewRouter(RouterSpec{Algorithm: "maglev", Nodes: nodes, Settings: settings})
}

// NewKetama makes the weighted ketama of libmemcached.
func NewKetama(nodes []string) (*Router, error) {
	return NewRouter(RouterSpec{Algorithm: "ketama", Nodes: nodes})
}

// DecodeRouter makes a router from its bytes, or from those of a topology, of any language.
func DecodeRouter(data []byte) (*Router, error) {
	var router *C.atoll_router
	var err *C.atoll_error
	if status := C.atoll_router_decode(pointer(data), C.size_t(len(data)), &router, &err); status != C.ATOLL_OK {
		return nil, failure(status, err)
	}
	return newRouter(router), nil
}

// Encode returns the bytes of the router, which every language and SQL can read.
func (r *Router) Encode() ([]byte, error) {
	defer runtime.KeepAlive(r)
	var buf *C.atoll_buf
	var err *C.atoll_error
	if status := C.atoll_router_encode(r.router, &buf, &err); status != C.ATOLL_OK {
		return nil, failure(status, err)
	}
	return taken(buf), nil
}

// Epoch returns the version of the topology behind the router; 0 for a router that has none.
func (r *Router) Epoch() uint64 {
	defer runtime.KeepAlive(r)
	return uint64(C.atoll_router_epoch(r.router))
}

// Names returns the names of the nodes; none for a router that answers with numbers.
func (r *Router) Names() []string { return append([]string(nil), r.names...) }

// Node returns the name of the node that owns a key. ErrInvalid for a router that answers with numbers: see Number.
func (r *Router) Node(key []byte) (string, error) {
	defer runtime.KeepAlive(r)
	answer := C.router_node(r.router, first(key), C.size_t(len(key)))
	if answer.status != C.ATOLL_OK {
		return "", failure(answer.status, answer.err)
	}
	return string(unsafe.Slice((*byte)(unsafe.Pointer(answer.value.data)), int(answer.value.len))), nil
}

// Nodes returns the names of the first n distinct nodes of a key, the owner first; fewer where there are fewer.
func (r *Router) Nodes(key []byte, n int) ([]string, error) {
	defer runtime.KeepAlive(r)
	if n < 0 {
		return nil, &Error{Status: ErrInvalid.Status, Message: "the number of nodes cannot be negative"}
	}
	if n > len(r.names) {
		n = len(r.names)
	}
	if n == 0 && len(r.names) > 0 {
		return nil, nil
	}
	if n == 0 {
		// A router without names is refused by the library, in its words.
		n = 1
	}
	views := make([]C.atoll_bytes, n)
	var found C.size_t
	var err *C.atoll_error
	if status := C.router_nodes(r.router, pointer(key), C.size_t(len(key)), &views[0], C.size_t(n), &found, &err); status != C.ATOLL_OK {
		return nil, failure(status, err)
	}
	names := make([]string, found)
	for i := range names {
		names[i] = string(copied(views[i].data, views[i].len))
	}
	return names, nil
}

// Number returns bucket, range, slot or token of a key; otherwise the index of its node.
func (r *Router) Number(key []byte) (int64, error) {
	defer runtime.KeepAlive(r)
	answer := C.router_number(r.router, first(key), C.size_t(len(key)))
	return int64(answer.number), failure(answer.status, answer.err)
}

// BucketOf returns the bucket of a number that is spread evenly over 64 bits: jump alone.
func (r *Router) BucketOf(number uint64) (uint32, error) {
	defer runtime.KeepAlive(r)
	var bucket C.uint32_t
	var err *C.atoll_error
	status := C.atoll_router_bucket_of(r.router, C.uint64_t(number), &bucket, &err)
	return uint32(bucket), failure(status, err)
}

// RouteMany routes many keys in one call: indexes into Names, or numbers where there are none.
func (r *Router) RouteMany(keys [][]byte) ([]int64, error) {
	defer runtime.KeepAlive(r)
	if len(keys) == 0 {
		return nil, nil
	}
	bytes, offsets, err := packed(keys)
	if err != nil {
		return nil, err
	}
	answers := make([]int64, len(keys))
	var cErr *C.atoll_error
	status := C.atoll_router_route_many(r.router, (*C.uint8_t)(pointer(bytes)), &offsets[0], C.size_t(len(keys)),
		(*C.int64_t)(unsafe.Pointer(&answers[0])), &cErr)
	return answers, failure(status, cErr)
}

// Plan is what a change of nodes would move, as shares of all keys.
type Plan struct {
	// Moved is the share of keys whose node changes.
	Moved float64 `json:"moved"`
	// Minimum is the least that any method could move.
	Minimum float64 `json:"minimum"`
	// MovedBetweenOldNodes is the share that moves between nodes which stay.
	MovedBetweenOldNodes float64 `json:"moved_between_old_nodes"`
	// JSON is all of the plan, slot by slot for slots.
	JSON json.RawMessage `json:"-"`
}

// planned takes what a plan has answered.
func planned(status C.atoll_status, buf *C.atoll_buf, after *C.atoll_router, err *C.atoll_error) (*Plan, *Router, error) {
	if status != C.ATOLL_OK {
		return nil, nil, failure(status, err)
	}
	router, plan := newRouter(after), &Plan{JSON: taken(buf)}
	return plan, router, json.Unmarshal(plan.JSON, plan)
}

// PlanAdd tells what adding a node would move, and returns the router with it. Nothing changes in this one.
func (r *Router) PlanAdd(node string, weight uint32) (*Plan, *Router, error) {
	defer runtime.KeepAlive(r)
	var buf *C.atoll_buf
	var after *C.atoll_router
	var err *C.atoll_error
	status := C.atoll_router_plan_add(r.router, text(node), C.size_t(len(node)), C.uint32_t(weight), &buf, &after, &err)
	return planned(status, buf, after, err)
}

// PlanRemove tells what taking a node away would move, and returns the router without it.
func (r *Router) PlanRemove(node string) (*Plan, *Router, error) {
	defer runtime.KeepAlive(r)
	var buf *C.atoll_buf
	var after *C.atoll_router
	var err *C.atoll_error
	status := C.atoll_router_plan_remove(r.router, text(node), C.size_t(len(node)), &buf, &after, &err)
	return planned(status, buf, after, err)
}

// PlanReweight tells what giving a node another weight would move, 0 for one that is to be empty, and returns the router with it.
func (r *Router) PlanReweight(node string, weight uint32) (*Plan, *Router, error) {
	defer runtime.KeepAlive(r)
	var buf *C.atoll_buf
	var after *C.atoll_router
	var err *C.atoll_error
	status := C.atoll_router_plan_reweight(r.router, text(node), C.size_t(len(node)), C.uint32_t(weight), &buf, &after, &err)
	return planned(status, buf, after, err)
}

// PlanChange is PlanAdd and its neighbours, of a change in JSON, as plans show it:
// {"add":{"name":"d","weight":2,"zone":"x","rack":"1"}}, {"remove":"a"}, {"reweight":{"node":"a","weight":3}}.
func (r *Router) PlanChange(change json.RawMessage) (*Plan, *Router, error) {
	defer runtime.KeepAlive(r)
	var buf *C.atoll_buf
	var after *C.atoll_router
	var err *C.atoll_error
	status := C.atoll_router_plan(r.router, pointer(change), C.size_t(len(change)), &buf, &after, &err)
	return planned(status, buf, after, err)
}

// EncodeInt returns the bytes of an integer as a key, whose order is numeric order: the same in every language and in SQL.
func EncodeInt(key int64) []byte { return encodeInt(key, C.ATOLL_ENCODING_BINARY) }

// EncodeDecimal returns an integer as its decimal text, as programs that hash str(id) have it.
func EncodeDecimal(key int64) []byte { return encodeInt(key, C.ATOLL_ENCODING_DECIMAL) }

func encodeInt(key int64, encoding C.uint32_t) []byte {
	var buf *C.atoll_buf
	if status := C.encode_int(C.int64_t(key), encoding, &buf, nil); status != C.ATOLL_OK {
		// Every integer is a key.
		panic("atoll: " + Status(status).String())
	}
	return taken(buf)
}
