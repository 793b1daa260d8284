package atoll

/*
#include "views.h"
#include <stdlib.h>

// The parts are put together here: Go may not hand over memory that points to memory of its own.
static atoll_status encode_parts(const uint32_t *kinds, const int64_t *integers, const uint32_t *ends, const uint8_t *bytes, size_t n,
                                 int is_tuple, uint32_t encoding, atoll_buf **key, atoll_error **err)
{
	atoll_key_part *parts = (atoll_key_part *)calloc(n + 1, sizeof *parts);
	atoll_status status;
	size_t i, from = 0;
	for (i = 0; i < n; i++) {
		parts[i].kind = kinds[i];
		parts[i].integer = integers[i];
		parts[i].bytes.data = bytes + from;
		parts[i].bytes.len = ends[i] - from;
		from = ends[i];
	}
	status = is_tuple ? atoll_encode_key_tuple(parts, n, key, err) : atoll_encode_key(parts, n, encoding, key, err);
	free(parts);
	return status;
}

static atoll_key_part part_at(const atoll_key_part *parts, size_t i)
{
	atoll_key_part part = parts[i];
	part.bytes = seen_by_go(part.bytes);
	return part;
}
*/
import "C"

import (
	"fmt"
	"math"
	"unsafe"
)

// UUID is a typed key of 16 bytes.
type UUID [16]byte

// Tuple is a typed key of several parts: each []byte, string, int64 (or a smaller integer), UUID, or a Tuple within it.
type Tuple []any

// deepest is how many tuples may stand within each other.
const deepest = 32

// keyParts are the parts of a key, laid out for C.
type keyParts struct {
	kinds    []C.uint32_t
	integers []C.int64_t
	ends     []C.uint32_t
	bytes    []byte
}

func (p *keyParts) add(kind C.uint32_t, integer int64, bytes []byte) {
	p.kinds = append(p.kinds, kind)
	p.integers = append(p.integers, C.int64_t(integer))
	p.bytes = append(p.bytes, bytes...)
	p.ends = append(p.ends, C.uint32_t(len(p.bytes)))
}

func (p *keyParts) put(part any, depth int) error {
	switch part := part.(type) {
	case []byte:
		p.add(C.ATOLL_KEY_BYTES, 0, part)
	case string:
		p.add(C.ATOLL_KEY_TEXT, 0, []byte(part))
	case int64:
		p.add(C.ATOLL_KEY_INT, part, nil)
	case int:
		p.add(C.ATOLL_KEY_INT, int64(part), nil)
	case int32:
		p.add(C.ATOLL_KEY_INT, int64(part), nil)
	case int16:
		p.add(C.ATOLL_KEY_INT, int64(part), nil)
	case int8:
		p.add(C.ATOLL_KEY_INT, int64(part), nil)
	case uint32:
		p.add(C.ATOLL_KEY_INT, int64(part), nil)
	case uint16:
		p.add(C.ATOLL_KEY_INT, int64(part), nil)
	case uint8:
		p.add(C.ATOLL_KEY_INT, int64(part), nil)
	case UUID:
		p.add(C.ATOLL_KEY_UUID, 0, part[:])
	case Tuple:
		if depth >= deepest {
			return &Error{Status: ErrInvalid.Status, Message: fmt.Sprintf("a key has at most %d tuples within each other", deepest)}
		}
		p.add(C.ATOLL_KEY_BEGIN, 0, nil)
		for _, one := range part {
			if err := p.put(one, depth+1); err != nil {
				return err
			}
		}
		p.add(C.ATOLL_KEY_END, 0, nil)
	default:
		return &Error{Status: ErrInvalid.Status, Message: fmt.Sprintf("a key is []byte, string, int64, UUID or a Tuple of them, not %T", part)}
	}
	return nil
}

func (p *keyParts) encode(isTuple C.int, encoding C.uint32_t) ([]byte, error) {
	if uint64(len(p.bytes)) > math.MaxUint32 {
		return nil, &Error{Status: ErrInvalid.Status, Message: "a key of more than 4 GiB"}
	}
	n := len(p.kinds)
	if n == 0 {
		// C may not be given the address of an element that is not there.
		p.kinds, p.integers, p.ends = make([]C.uint32_t, 1), make([]C.int64_t, 1), make([]C.uint32_t, 1)
	}
	var buf *C.atoll_buf
	var err *C.atoll_error
	status := C.encode_parts(&p.kinds[0], &p.integers[0], &p.ends[0], first(p.bytes), C.size_t(n), isTuple, encoding, &buf, &err)
	if status != C.ATOLL_OK {
		return nil, failure(status, err)
	}
	return taken(buf), nil
}

// EncodeKey returns the bytes of a typed key ([]byte, string, int64 or a smaller integer, UUID, or a Tuple of them), as they are
// stored and routed: the same in every language and in SQL. Integers keep their order; a Tuple is ordered part by part, and
// differs from its only part.
//
// ErrInvalid for other types, texts that are not UTF-8, and more than 32 tuples within each other.
func EncodeKey(key any) ([]byte, error) {
	var parts keyParts
	if tuple, ok := key.(Tuple); ok {
		for _, one := range tuple {
			if err := parts.put(one, 0); err != nil {
				return nil, err
			}
		}
		return parts.encode(1, C.ATOLL_ENCODING_BINARY)
	}
	if err := parts.put(key, 0); err != nil {
		return nil, err
	}
	return parts.encode(0, C.ATOLL_ENCODING_BINARY)
}

// DecodeKey returns the tuple that EncodeKey made a key of: its parts are []byte, string, int64, UUID and Tuple. Other keys do not
// say what they were: ErrInvalid, or nonsense.
func DecodeKey(key []byte) (Tuple, error) {
	// Every part takes a byte at least, and there may be none.
	room := C.size_t(len(key) + 1)
	parts := (*C.atoll_key_part)(C.calloc(room, C.sizeof_atoll_key_part))
	defer C.free(unsafe.Pointer(parts))
	var n C.size_t
	var contents *C.atoll_buf
	var err *C.atoll_error
	status := C.atoll_decode_key_tuple(pointer(key), C.size_t(len(key)), parts, room, &n, &contents, &err)
	if status != C.ATOLL_OK {
		return nil, failure(status, err)
	}
	defer C.atoll_buf_free(contents)
	open := []Tuple{{}}
	for i := C.size_t(0); i < n; i++ {
		part := C.part_at(parts, i)
		var value any
		switch part.kind {
		case C.ATOLL_KEY_BEGIN:
			open = append(open, Tuple{})
			continue
		case C.ATOLL_KEY_END:
			value = open[len(open)-1]
			open = open[:len(open)-1]
		case C.ATOLL_KEY_INT:
			value = int64(part.integer)
		case C.ATOLL_KEY_TEXT:
			value = string(copied(part.bytes.data, part.bytes.len))
		case C.ATOLL_KEY_UUID:
			var id UUID
			copy(id[:], copied(part.bytes.data, part.bytes.len))
			value = id
		default:
			value = copied(part.bytes.data, part.bytes.len)
		}
		open[len(open)-1] = append(open[len(open)-1], value)
	}
	return open[0], nil
}
