package atoll

/*
#include <atoll.h>

typedef struct { atoll_status status; atoll_location place; atoll_error *err; } place_answer;

static place_answer locate(const atoll_router *router, const void *key, size_t n)
{
	place_answer answer = {ATOLL_OK, ATOLL_LOCATION_INIT, NULL};
	answer.status = atoll_router_locate(router, key, n, &answer.place, &answer.err);
	return answer;
}
*/
import "C"

import "runtime"

// MovePhase says what is becoming of a slot.
type MovePhase uint32

const (
	// MoveNone: the slot stays where it is.
	MoveNone MovePhase = C.ATOLL_MOVE_NONE
	// MoveCopying: the slot is being copied; its owner answers reads and writes.
	MoveCopying MovePhase = C.ATOLL_MOVE_COPYING
	// MoveFrozen: the last writes are being copied; the owner answers reads, and writes wait.
	MoveFrozen MovePhase = C.ATOLL_MOVE_FROZEN
)

// String returns "none", "copying" or "frozen".
func (m MovePhase) String() string {
	names := [...]string{"none", "copying", "frozen"}
	if int(m) >= len(names) {
		return "unknown"
	}
	return names[m]
}

// Location is where a key lives.
type Location struct {
	// Version of the topology that says so.
	Version uint64
	// Residency is the position in the log of the shard below which what it holds of the slot is left over from an earlier stay.
	Residency uint64
	Slot      uint32
	Shard     uint32
	Phase     MovePhase
	// MovingTo is the shard that owns the slot once it has moved; Shard if it does not move.
	MovingTo uint32
}

// Locate tells where a key lives: its slot, the shard that owns it, and where it is going. ErrInvalid for a router that is no topology,
// and for a key outside its domain.
func (r *Router) Locate(key []byte) (Location, error) {
	defer runtime.KeepAlive(r)
	answer := C.locate(r.router, pointer(key), C.size_t(len(key)))
	if answer.status != C.ATOLL_OK {
		return Location{}, failure(answer.status, answer.err)
	}
	place := answer.place
	return Location{
		Version: uint64(place.version), Residency: uint64(place.residency), Slot: uint32(place.slot), Shard: uint32(place.shard),
		Phase: MovePhase(place.phase), MovingTo: uint32(place.moving_to),
	}, nil
}
