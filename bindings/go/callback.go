package atoll

// A file that exports functions to C may only declare in its preamble; what calls them stands in resolver.go.

/*
#include <atoll.h>
*/
import "C"

import (
	"errors"
	"fmt"
	"runtime/cgo"
	"strings"
)

//export atollGoResolve
func atollGoResolve(function C.uintptr_t, key C.atoll_bytes, versions *C.atoll_version_view, n C.size_t, out *C.atoll_out) C.atoll_status {
	resolve := cgo.Handle(function).Value().(ResolveFunc)
	resolution, err := decide(resolve, copied(key.data, key.len), viewsOf(versions, n))
	if err == nil {
		status := resolution.tell(out)
		if status == C.ATOLL_OK {
			return status
		}
		err = errors.New("the function has returned no resolution that there is")
	}
	// A text of C's ends at a NUL.
	reason := C.CString(strings.ReplaceAll(err.Error(), "\x00", "\\0"))
	defer free(reason)
	C.atoll_out_fail(out, reason)
	return C.ATOLL_E_CALLBACK
}

// decide runs a function of the program in a goroutine of its own: neither a panic nor runtime.Goexit may unwind the frames of the
// library that stand below this one, which would leave its locks held.
func decide(function ResolveFunc, key []byte, versions []KeyVersion) (resolution Resolution, err error) {
	ended := make(chan struct{})
	go func() {
		returned := false
		defer close(ended)
		defer func() {
			if panicked := recover(); panicked != nil {
				err = fmt.Errorf("the function panicked: %v", panicked)
			} else if !returned {
				err = errors.New("the function ended its goroutine")
			}
		}()
		resolution, err = function(key, versions)
		returned = true
	}()
	<-ended
	return resolution, err
}

//export atollGoRelease
func atollGoRelease(function C.uintptr_t) { cgo.Handle(function).Delete() }

// apart runs a function of the program in a goroutine of its own, as decide does, and returns what it panicked with.
func apart(function func()) (panicked any) {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer func() { panicked = recover() }()
		function()
	}()
	<-ended
	return panicked
}

//export atollGoProgress
func atollGoProgress(function C.uintptr_t, done, total C.uint64_t) {
	told := cgo.Handle(function).Value().(*progress)
	if told.panicked == nil {
		told.panicked = apart(func() { told.function(uint64(done), uint64(total)) })
	}
}

//export atollGoLog
func atollGoLog(function C.uintptr_t, level C.uint32_t, target, message C.atoll_bytes) {
	say := cgo.Handle(function).Value().(LogFunc)
	say(LogLevel(level), string(copied(target.data, target.len)), string(copied(message.data, message.len)))
}
