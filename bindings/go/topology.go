package atoll

/*
#include "views.h"

static atoll_status slot_at(const atoll_router *router, uint32_t slot, atoll_location *place, atoll_error **err)
{
	atoll_location made = ATOLL_LOCATION_INIT;
	*place = made;
	return atoll_router_slot_at(router, slot, place, err);
}

static atoll_status node_info(const atoll_router *router, size_t i, atoll_node *node, atoll_error **err)
{
	atoll_node made = ATOLL_NODE_INIT;
	atoll_status status;
	*node = made;
	status = atoll_router_node_info(router, i, node, err);
	node->name = seen_by_go(node->name);
	node->zone = seen_by_go(node->zone);
	node->rack = seen_by_go(node->rack);
	return status;
}
*/
import "C"

import (
	"encoding/json"
	"runtime"
	"strconv"
)

// SlotAt tells where a slot lives, from 0 to Places()-1. ErrInvalid past the last one, and for a router that is no topology.
func (r *Router) SlotAt(slot uint32) (Location, error) {
	defer runtime.KeepAlive(r)
	var place C.atoll_location
	var err *C.atoll_error
	status := C.slot_at(r.router, C.uint32_t(slot), &place, &err)
	if status == C.ATOLL_END {
		return Location{}, noSuch("slot", slot, uint32(C.atoll_router_places(r.router)))
	}
	if status != C.ATOLL_OK {
		return Location{}, failure(status, err)
	}
	return Location{
		Version: uint64(place.version), Residency: uint64(place.residency), Slot: uint32(place.slot), Shard: uint32(place.shard),
		Phase: MovePhase(place.phase), MovingTo: uint32(place.moving_to),
	}, nil
}

func noSuch(what string, asked, n uint32) error {
	return &Error{Status: ErrInvalid.Status,
		Message: "there is no " + what + " " + strconv.FormatUint(uint64(asked), 10) + ": there are " + strconv.FormatUint(uint64(n), 10)}
}

// Places returns the number of places that numbers run through from 0: buckets, ranges, slots or nodes; 0 for tokens, which are
// any 64-bit number.
func (r *Router) Places() uint32 {
	defer runtime.KeepAlive(r)
	return uint32(C.atoll_router_places(r.router))
}

// ShardCount returns how many shards a topology has, retired ones included; 0 for routers that are no topology.
func (r *Router) ShardCount() uint32 {
	defer runtime.KeepAlive(r)
	return uint32(C.atoll_router_shard_count(r.router))
}

// ShardNodes returns the names of the nodes of a shard, preferred primary first. ErrInvalid for a number that no shard has, and for
// a router that is no topology.
func (r *Router) ShardNodes(shard uint32) ([]string, error) {
	defer runtime.KeepAlive(r)
	numbers := make([]C.uint32_t, 8)
	for {
		var n C.size_t
		var err *C.atoll_error
		status := C.atoll_router_shard_nodes(r.router, C.uint32_t(shard), &numbers[0], C.size_t(len(numbers)), &n, &err)
		switch status {
		case C.ATOLL_OK:
			names := make([]string, n)
			for i := range names {
				names[i] = r.names[numbers[i]]
			}
			return names, nil
		case C.ATOLL_BUFFER_TOO_SMALL:
			numbers = make([]C.uint32_t, n)
		case C.ATOLL_END:
			return nil, noSuch("shard", shard, uint32(C.atoll_router_shard_count(r.router)))
		default:
			return nil, failure(status, err)
		}
	}
}

// NodeState is what a node of a topology does.
type NodeState uint32

const (
	// NodeActive nodes take keys.
	NodeActive NodeState = C.ATOLL_NODE_ACTIVE
	// NodeLeaving nodes give up what they hold.
	NodeLeaving NodeState = C.ATOLL_NODE_LEAVING
	// NodeGone nodes have left; their number is not used again.
	NodeGone NodeState = C.ATOLL_NODE_GONE
)

// Node is all that a router knows of a node.
type Node struct {
	Name string
	// Weight is its share relative to the other nodes; 0 for one that is kept empty.
	Weight uint32
	// Zone is its failure domain, and Rack a smaller one within it; empty where it has none.
	Zone, Rack string
	// State is not looked at by NewRouter.
	State NodeState
}

// NodeInfo returns the nodes in their order; none for a router that answers with numbers.
func (r *Router) NodeInfo() ([]Node, error) {
	defer runtime.KeepAlive(r)
	nodes := make([]Node, len(r.names))
	for i := range nodes {
		var node C.atoll_node
		var err *C.atoll_error
		if status := C.node_info(r.router, C.size_t(i), &node, &err); status != C.ATOLL_OK {
			return nil, failure(status, err)
		}
		nodes[i] = Node{
			Name:   r.names[i],
			Weight: uint32(node.weight),
			Zone:   string(copied(node.zone.data, node.zone.len)),
			Rack:   string(copied(node.rack.data, node.rack.len)),
			State:  NodeState(node.state),
		}
	}
	return nodes, nil
}

// Algorithm returns the name of the algorithm, as RouterSpec takes it.
func (r *Router) Algorithm() string {
	defer runtime.KeepAlive(r)
	return C.GoString(C.atoll_router_algorithm(r.router))
}

// Encoding returns how the router wants integers encoded: "binary" (EncodeInt) or "decimal" (EncodeDecimal).
func (r *Router) Encoding() string {
	defer runtime.KeepAlive(r)
	if C.atoll_router_encoding(r.router) == C.ATOLL_ENCODING_DECIMAL {
		return "decimal"
	}
	return "binary"
}

// MarshalJSON gives the router as JSON, for people and for RouterFromJSON.
func (r *Router) MarshalJSON() ([]byte, error) {
	defer runtime.KeepAlive(r)
	var buf *C.atoll_buf
	var err *C.atoll_error
	if status := C.atoll_router_to_json(r.router, &buf, &err); status != C.ATOLL_OK {
		return nil, failure(status, err)
	}
	return taken(buf), nil
}

// RouterFromJSON makes a router from its JSON, of any language.
func RouterFromJSON(data json.RawMessage) (*Router, error) {
	given, wrong := cText("the router", string(data))
	if wrong != nil {
		return nil, wrong
	}
	defer free(given)
	var router *C.atoll_router
	var err *C.atoll_error
	if status := C.atoll_router_from_json(given, &router, &err); status != C.ATOLL_OK {
		return nil, failure(status, err)
	}
	return newRouter(router), nil
}
