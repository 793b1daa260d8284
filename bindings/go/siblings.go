package atoll

/*
#include "views.h"

static atoll_status siblings_put(atoll_siblings *siblings, const void *value, size_t value_n, const void *context, size_t context_n, uint64_t stamp,
                                 uint64_t node, uint64_t sequence, uint32_t incarnation, uint32_t deleted, atoll_buf **encoded, atoll_error **err)
{
	atoll_version_view version = {{(const uint8_t *)value, value_n}, {(const uint8_t *)context, context_n},
	                              stamp, node, sequence, incarnation, deleted};
	return atoll_siblings_put(siblings, &version, encoded, err);
}
*/
import "C"

import "runtime"

// SiblingSet is the writes of one key that stand side by side: none has seen another. One goroutine at a time.
//
// Two nodes that have taken in the same writes, in any order and however often, hold sets of equal bytes.
type SiblingSet struct {
	siblings *C.atoll_siblings
}

func newSiblings(siblings *C.atoll_siblings) *SiblingSet {
	made := &SiblingSet{siblings: siblings}
	runtime.SetFinalizer(made, func(s *SiblingSet) { C.atoll_siblings_free(s.siblings) })
	return made
}

// NewSiblingSet makes the set of a key that was never written.
func NewSiblingSet() *SiblingSet { return newSiblings(C.atoll_siblings_new()) }

// DecodeSiblingSet reads a set from its bytes, of any language. ErrCorrupt for anything but the one form.
func DecodeSiblingSet(data []byte) (*SiblingSet, error) {
	var siblings *C.atoll_siblings
	var err *C.atoll_error
	if status := C.atoll_siblings_decode(pointer(data), C.size_t(len(data)), &siblings, &err); status != C.ATOLL_OK {
		return nil, failure(status, err)
	}
	return newSiblings(siblings), nil
}

// Encode returns the bytes of the set, which every language can read.
func (s *SiblingSet) Encode() ([]byte, error) {
	defer runtime.KeepAlive(s)
	var buf *C.atoll_buf
	var err *C.atoll_error
	if status := C.atoll_siblings_encode(s.siblings, &buf, &err); status != C.ATOLL_OK {
		return nil, failure(status, err)
	}
	return taken(buf), nil
}

// Context returns all that was seen of the key: the context of a write that replaces the present values.
func (s *SiblingSet) Context() ([]byte, error) {
	defer runtime.KeepAlive(s)
	var buf *C.atoll_buf
	var err *C.atoll_error
	if status := C.atoll_siblings_context(s.siblings, &buf, &err); status != C.ATOLL_OK {
		return nil, failure(status, err)
	}
	return taken(buf), nil
}

// Put is a write of this node: it replaces exactly what its context has seen; an empty context replaces nothing. It returns the bytes
// for the other nodes, to Apply. ErrInvalid if the sequence is not new for its node and incarnation, or the stamp not above those
// it replaces; the set is unchanged.
func (s *SiblingSet) Put(version *KeyVersion) ([]byte, error) {
	defer runtime.KeepAlive(s)
	var deleted C.uint32_t
	if version.Deleted {
		deleted = 1
	}
	var buf *C.atoll_buf
	var err *C.atoll_error
	status := C.siblings_put(s.siblings, pointer(version.Value), C.size_t(len(version.Value)), pointer(version.Context),
		C.size_t(len(version.Context)), C.uint64_t(version.Stamp), C.uint64_t(version.Node), C.uint64_t(version.Sequence),
		C.uint32_t(version.Incarnation), deleted, &buf, &err)
	if status != C.ATOLL_OK {
		return nil, failure(status, err)
	}
	return taken(buf), nil
}

// Apply takes in a write of another node, in the bytes that Put returned there. Order and repetition do not matter.
func (s *SiblingSet) Apply(version []byte) error {
	defer runtime.KeepAlive(s)
	var err *C.atoll_error
	return failure(C.atoll_siblings_apply(s.siblings, pointer(version), C.size_t(len(version)), &err), err)
}

// Merge takes in another node's whole set of the same key. Order and repetition do not matter.
func (s *SiblingSet) Merge(other *SiblingSet) error {
	defer runtime.KeepAlive(s)
	defer runtime.KeepAlive(other)
	var err *C.atoll_error
	return failure(C.atoll_siblings_merge(s.siblings, other.siblings, &err), err)
}

// Versions returns the versions, deletions too, in the order of who wrote them.
func (s *SiblingSet) Versions() ([]KeyVersion, error) {
	defer runtime.KeepAlive(s)
	var versions *C.atoll_versions
	var err *C.atoll_error
	if status := C.atoll_siblings_versions(s.siblings, &versions, &err); status != C.ATOLL_OK {
		return nil, failure(status, err)
	}
	return takenVersions(versions)
}

// Resolve returns what a rule makes of the versions, as Resolver.Resolve; the set is unchanged.
func (s *SiblingSet) Resolve(rule *Resolver, key []byte) ([]KeyVersion, error) {
	versions, err := s.Versions()
	if err != nil {
		return nil, err
	}
	return rule.Resolve(key, versions)
}
