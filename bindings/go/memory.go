package atoll

/*
#include "views.h"
#include <stdlib.h>

static atoll_bytes buf_bytes(const atoll_buf *buf)
{
	return seen_by_go(atoll_buf_bytes(buf));
}
*/
import "C"

import (
	"strconv"
	"strings"
	"unsafe"
)

// cText returns a copy of a text that ends with NUL, to be freed with free. One with a NUL in it is refused: C would take what
// stands before it for the whole, and open or set something else than was asked.
func cText(what, s string) (*C.char, error) {
	if strings.IndexByte(s, 0) >= 0 {
		return nil, &Error{Status: ErrInvalid.Status, Message: what + " " + strconv.Quote(s) + " has a NUL in it"}
	}
	return C.CString(s), nil
}

func free(s *C.char) { C.free(unsafe.Pointer(s)) }

// nothing is what empty bytes point to: C may not be given the address of an element that is not there.
var nothing byte

// pointer returns the address of the first byte. The bytes must be kept alive during the call it is for, which cgo
// does for arguments.
func pointer(bytes []byte) unsafe.Pointer {
	if len(bytes) == 0 {
		return unsafe.Pointer(&nothing)
	}
	return unsafe.Pointer(&bytes[0])
}

// text returns the address of the first byte of a string, which nobody may write.
func text(s string) unsafe.Pointer {
	if s == "" {
		return unsafe.Pointer(&nothing)
	}
	// As unsafe.StringData of Go 1.20.
	return *(*unsafe.Pointer)(unsafe.Pointer(&s))
}

// copied returns a copy of a view of C's, which views.h has made fit to be seen.
func copied(data *C.uint8_t, n C.size_t) []byte {
	bytes := make([]byte, int(n))
	if n > 0 {
		copy(bytes, unsafe.Slice((*byte)(unsafe.Pointer(data)), int(n)))
	}
	return bytes
}

// taken returns the bytes of a buffer of C's, which is freed.
func taken(buf *C.atoll_buf) []byte {
	view := C.buf_bytes(buf)
	bytes := copied(view.data, view.len)
	C.atoll_buf_free(buf)
	return bytes
}

// packed lays keys end to end; offsets has one more element than there are keys.
func packed(keys [][]byte) (bytes []byte, offsets []C.uint32_t, err error) {
	total := 0
	for _, key := range keys {
		total += len(key)
	}
	if uint64(total) > 1<<32-1 {
		return nil, nil, &Error{Status: ErrInvalid.Status, Message: "the keys of one call have more than 4 GiB together"}
	}
	bytes = make([]byte, 0, total)
	offsets = make([]C.uint32_t, 1, len(keys)+1)
	for _, key := range keys {
		bytes = append(bytes, key...)
		offsets = append(offsets, C.uint32_t(len(bytes)))
	}
	return bytes, offsets, nil
}
