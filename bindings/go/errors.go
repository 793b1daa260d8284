package atoll

/*
#include <atoll.h>
*/
import "C"

import "syscall"

// Status is what a call answered: a number of atoll.h.
type Status int32

// String returns the name of the status, such as "ATOLL_E_CORRUPT".
func (s Status) String() string { return C.GoString(C.atoll_status_name(C.atoll_status(s))) }

// Error tells why a call failed. Compare it with the Err variables by errors.Is.
type Error struct {
	// Status is the number of atoll.h.
	Status Status
	// Errno is the operating system's number, 0 if there is none.
	Errno int
	// Message says what went wrong, and the next step where there is one.
	Message string
}

// Error returns the message.
func (e *Error) Error() string {
	if e.Message == "" {
		return "atoll: " + e.Status.String()
	}
	return "atoll: " + e.Message
}

// Is reports whether target is an Error of the same status: errors.Is(err, atoll.ErrLocked).
func (e *Error) Is(target error) bool {
	other, ok := target.(*Error)
	return ok && (other.Status == e.Status || e.Status == C.ATOLL_E_NO_QUORUM && other.Status == C.ATOLL_E_UNAVAILABLE)
}

// Unwrap returns the operating system's error, so that errors.Is(err, syscall.EACCES) and errors.Is(err, fs.ErrPermission)
// hold; nil if there is none.
func (e *Error) Unwrap() error {
	if e.Errno == 0 {
		return nil
	}
	return syscall.Errno(e.Errno)
}

func kind(status C.atoll_status, message string) *Error {
	return &Error{Status: Status(status), Message: message}
}

// What a program may want to tell apart, for errors.Is.
var (
	// ErrNotFound: the key has no value.
	ErrNotFound = kind(C.ATOLL_NOT_FOUND, "the key has no value")
	// ErrConflict: what a write was conditional on is no longer so; nothing was written.
	ErrConflict = kind(C.ATOLL_CONFLICT, "what the write was conditional on is no longer so: nothing was written, run it again")
	// ErrInvalid: an argument is wrong; the message says which.
	ErrInvalid = kind(C.ATOLL_E_INVALID, "an argument is wrong")
	// ErrIO: the operating system refused.
	ErrIO = kind(C.ATOLL_E_IO, "the operating system refused")
	// ErrCorrupt: bytes are not what was written; other keys stay readable.
	ErrCorrupt = kind(C.ATOLL_E_CORRUPT, "bytes are not what was written")
	// ErrClosed: the store, or what was made from it, has been closed.
	ErrClosed = kind(C.ATOLL_E_CLOSED, "it has been closed")
	// ErrBusy: the object serves one call at a time, and is serving one.
	ErrBusy = kind(C.ATOLL_E_BUSY, "it serves one call at a time, and is serving one")
	// ErrLocked: another process has the store open; the message names it.
	ErrLocked = kind(C.ATOLL_E_LOCKED, "another process has the store open")
	// ErrForked: the store was opened before this process forked.
	ErrForked = kind(C.ATOLL_E_FORKED, "it was opened before this process forked")
	// ErrUnsupported: the call asks for something that this build of the library does not know.
	ErrUnsupported = kind(C.ATOLL_E_UNSUPPORTED, "this build of the library does not know it")
	// ErrCallback: a function of the program failed.
	ErrCallback = kind(C.ATOLL_E_CALLBACK, "a function of the program failed")
	// ErrPanic: the library has a defect, which the message tells. What it met takes no more writes.
	ErrPanic = kind(C.ATOLL_E_PANIC, "the library has a defect")
	// ErrNoQuorum: not one copy of the shard is in service; nothing was read or written. It is an ErrUnavailable as well.
	ErrNoQuorum = kind(C.ATOLL_E_NO_QUORUM, "no copy of the shard is in service")
	// ErrStaleEpoch: another primary has taken over.
	ErrStaleEpoch = kind(C.ATOLL_E_STALE_EPOCH, "another primary has taken over")
	// ErrDiskFull: no space is left; nothing was written and reads go on.
	ErrDiskFull = kind(C.ATOLL_E_DISK_FULL, "no space is left")
	// ErrNotPrimary: this copy does not take writes.
	ErrNotPrimary = kind(C.ATOLL_E_NOT_PRIMARY, "this copy does not take writes")
	// ErrUnavailable: nobody who could answer can be reached; nothing was written.
	ErrUnavailable = kind(C.ATOLL_E_UNAVAILABLE, "nobody who could answer can be reached")
	// ErrIndeterminate: it cannot be known whether the write was done.
	ErrIndeterminate = kind(C.ATOLL_E_INDETERMINATE, "it cannot be known whether the write was done")
	// ErrWriteLost: a write that was seen has been lost with its primary.
	ErrWriteLost = kind(C.ATOLL_E_WRITE_LOST, "a write that was seen has been lost")
	// ErrCrossSlot: the keys of one atomic operation live in different places.
	ErrCrossSlot = kind(C.ATOLL_E_CROSS_SLOT, "the keys live in different places")
	// ErrTooOld: what the snapshot shows is gone; take a new one.
	ErrTooOld = kind(C.ATOLL_E_TOO_OLD, "what the snapshot shows is gone")
)

// failure makes an Error of what a call answered, and frees the C one; nil for ATOLL_OK.
func failure(status C.atoll_status, err *C.atoll_error) error {
	if status == C.ATOLL_OK {
		return nil
	}
	made := &Error{Status: Status(status)}
	if err != nil {
		made.Errno = int(C.atoll_error_os_errno(err))
		made.Message = C.GoString(C.atoll_error_message(err))
		C.atoll_error_free(err)
	} else if status == C.ATOLL_CONFLICT {
		made.Message = ErrConflict.Message
	}
	return made
}
