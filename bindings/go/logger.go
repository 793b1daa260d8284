package atoll

/*
#include "views.h"

// In callback.go.
extern void atollGoLog(uintptr_t function, uint32_t level, atoll_bytes target, atoll_bytes message);
extern void atollGoRelease(uintptr_t function);

static void say(void *ctx, uint32_t level, atoll_bytes target, atoll_bytes message)
{
	atollGoLog((uintptr_t)ctx, level, seen_by_go(target), seen_by_go(message));
}

static void silence(void *ctx)
{
	atollGoRelease((uintptr_t)ctx);
}

// The context is a number that stands for a function of Go's.
static atoll_status set_logger(uintptr_t function, uint32_t level, atoll_error **err)
{
	return function ? atoll_set_logger(say, (void *)function, silence, level, err) : atoll_set_logger(NULL, NULL, NULL, 0, err);
}
*/
import "C"

import "runtime/cgo"

// LogLevel says how urgent a message is, the most urgent first.
type LogLevel uint32

const (
	// LogError: something does not work any more and somebody has to act.
	LogError LogLevel = C.ATOLL_LOG_LEVEL_ERROR
	// LogWarn: something failed and will be tried again, or works less well.
	LogWarn LogLevel = C.ATOLL_LOG_LEVEL_WARN
	// LogInfo: what an operator wants to find in a log: recoveries, failovers, moves.
	LogInfo LogLevel = C.ATOLL_LOG_LEVEL_INFO
	// LogDebug: everything else.
	LogDebug LogLevel = C.ATOLL_LOG_LEVEL_DEBUG
)

// String returns "error", "warn", "info" or "debug".
func (l LogLevel) String() string {
	names := [...]string{"off", "error", "warn", "info", "debug"}
	if int(l) >= len(names) {
		return "unknown"
	}
	return names[l]
}

// LogFunc is told what the library has to say: how urgent, the module it comes from, and a line of text. It is called one message at
// a time, and may use the library, but not SetLogger.
type LogFunc func(level LogLevel, target, message string)

// SetLogger hands what the library has to say, from every store and cluster of the process, to a function, and nothing less urgent than
// level; nil: to nobody, which is how it begins. It holds nothing up: if the function is too slow, messages are dropped and their number
// is told. SetLogger returns once the function before has been handed all its messages; ErrBusy within it.
func SetLogger(function LogFunc, level LogLevel) error {
	var number cgo.Handle
	if function != nil {
		// Released by the library, also when it refuses.
		number = cgo.NewHandle(function)
	}
	var err *C.atoll_error
	return failure(C.set_logger(C.uintptr_t(number), C.uint32_t(level), &err), err)
}
