package atoll

/*
#include "views.h"

static atoll_status version_decode(const void *encoded, size_t n, atoll_version_view *version, atoll_error **err)
{
	atoll_status status = atoll_version_decode(encoded, n, version, err);
	if (status == ATOLL_OK)
		*version = version_seen_by_go(*version);
	return status;
}

static atoll_status versions_at(const atoll_versions *versions, size_t i, atoll_version_view *version, atoll_error **err)
{
	atoll_status status = atoll_versions_at(versions, i, version, err);
	if (status == ATOLL_OK)
		*version = version_seen_by_go(*version);
	return status;
}

static atoll_status version_encode(const void *value, size_t value_n, const void *context, size_t context_n, uint64_t stamp, uint64_t node,
                                   uint64_t sequence, uint32_t incarnation, uint32_t deleted, atoll_buf **encoded, atoll_error **err)
{
	atoll_version_view version = {{(const uint8_t *)value, value_n}, {(const uint8_t *)context, context_n},
	                              stamp, node, sequence, incarnation, deleted};
	return atoll_version_encode(&version, encoded, err);
}
*/
import "C"

// KeyVersion is one write of a key, named for ever by node, incarnation and sequence.
type KeyVersion struct {
	// Value is what was written; empty if the write deleted.
	Value []byte
	// Context is what its writer had read: the bytes of a causal context; empty for nothing.
	Context []byte
	// Stamp is the hybrid logical clock of its node when it wrote, packed.
	Stamp uint64
	// Node that accepted it: xxh3_64 of its name.
	Node uint64
	// Sequence counts the writes of that node and incarnation, from 1.
	Sequence uint64
	// Incarnation is the life of the node's data.
	Incarnation uint32
	// Deleted says that the write took the value away.
	Deleted bool
}

// Encode returns the bytes of the version, which every language can read. ErrInvalid for sequence 0, a deletion with a value and
// a version that has seen itself, ErrCorrupt for a context that is none.
func (v *KeyVersion) Encode() ([]byte, error) {
	var deleted C.uint32_t
	if v.Deleted {
		deleted = 1
	}
	var buf *C.atoll_buf
	var err *C.atoll_error
	status := C.version_encode(pointer(v.Value), C.size_t(len(v.Value)), pointer(v.Context), C.size_t(len(v.Context)), C.uint64_t(v.Stamp),
		C.uint64_t(v.Node), C.uint64_t(v.Sequence), C.uint32_t(v.Incarnation), deleted, &buf, &err)
	if status != C.ATOLL_OK {
		return nil, failure(status, err)
	}
	return taken(buf), nil
}

// versionOf copies a view.
func versionOf(view C.atoll_version_view) KeyVersion {
	return KeyVersion{
		Value:       copied(view.value.data, view.value.len),
		Context:     copied(view.context.data, view.context.len),
		Stamp:       uint64(view.stamp),
		Node:        uint64(view.node),
		Sequence:    uint64(view.sequence),
		Incarnation: uint32(view.incarnation),
		Deleted:     view.deleted != 0,
	}
}

// DecodeKeyVersion reads the bytes of a version, of any language. ErrCorrupt for anything but the one form of a version.
func DecodeKeyVersion(data []byte) (*KeyVersion, error) {
	// In C's memory: the views would be pointers of Go's, stored by C.
	encoded := C.CBytes(data)
	defer free((*C.char)(encoded))
	var view C.atoll_version_view
	var err *C.atoll_error
	if status := C.version_decode(encoded, C.size_t(len(data)), &view, &err); status != C.ATOLL_OK {
		return nil, failure(status, err)
	}
	version := versionOf(view)
	return &version, nil
}

// CompareContexts tells how two causal contexts stand to each other; an empty one has seen nothing.
func CompareContexts(left, right []byte) (Order, error) {
	var order C.int32_t
	var err *C.atoll_error
	status := C.atoll_context_compare(pointer(left), C.size_t(len(left)), pointer(right), C.size_t(len(right)), &order, &err)
	return Order(order), failure(status, err)
}

// MergeContexts returns the context that has seen what both have seen: that of a write which replaces two values.
func MergeContexts(left, right []byte) ([]byte, error) {
	var buf *C.atoll_buf
	var err *C.atoll_error
	status := C.atoll_context_merge(pointer(left), C.size_t(len(left)), pointer(right), C.size_t(len(right)), &buf, &err)
	if status != C.ATOLL_OK {
		return nil, failure(status, err)
	}
	return taken(buf), nil
}

// takenVersions copies what a rule has left, and frees it.
func takenVersions(found *C.atoll_versions) ([]KeyVersion, error) {
	defer C.atoll_versions_free(found)
	versions := make([]KeyVersion, C.atoll_versions_count(found))
	for i := range versions {
		var view C.atoll_version_view
		var err *C.atoll_error
		if status := C.versions_at(found, C.size_t(i), &view, &err); status != C.ATOLL_OK {
			return nil, failure(status, err)
		}
		versions[i] = versionOf(view)
	}
	return versions, nil
}

// packedVersions lays the bytes of versions end to end.
func packedVersions(versions []KeyVersion) (bytes []byte, offsets []C.uint32_t, err error) {
	encoded := make([][]byte, len(versions))
	for i := range versions {
		if encoded[i], err = versions[i].Encode(); err != nil {
			return nil, nil, err
		}
	}
	return packed(encoded)
}
