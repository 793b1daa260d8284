package atoll

/*
#include "views.h"

// In callback.go.
extern atoll_status atollGoResolve(uintptr_t function, atoll_bytes key, atoll_version_view *versions, size_t n, atoll_out *out);
extern void atollGoRelease(uintptr_t function);

static atoll_status ask(void *ctx, atoll_bytes key, const atoll_version_view *versions, size_t n, atoll_out *out)
{
	return atollGoResolve((uintptr_t)ctx, seen_by_go(key), (atoll_version_view *)versions, n, out);
}

static atoll_version_view version_at(const atoll_version_view *versions, size_t i)
{
	return version_seen_by_go(versions[i]);
}

static void release(void *ctx)
{
	atollGoRelease((uintptr_t)ctx);
}

// The context is a number that stands for a function of Go's: C never keeps a pointer of Go's.
static atoll_status resolver_new(const char *name, uintptr_t function, atoll_resolver **resolver, atoll_error **err)
{
	return atoll_resolver_new(name, ask, (void *)function, release, resolver, err);
}
*/
import "C"

import (
	"runtime"
	"runtime/cgo"
	"sync"
)

// Resolution is what versions of a key come to: made by Keep, Become or Remove.
type Resolution struct {
	what  int
	index int
	value []byte
}

const (
	undecided = iota
	keeps
	becomes
	removes
)

// Keep resolves to version number i of those that were shown, or to its deletion.
func Keep(i int) Resolution { return Resolution{what: keeps, index: i} }

// Become resolves to a value.
func Become(value []byte) Resolution { return Resolution{what: becomes, value: value} }

// Remove resolves to the key having no value.
func Remove() Resolution { return Resolution{what: removes} }

// ResolveFunc decides between versions of a key that did not know each other: at least two, each once, in the order of who wrote
// them. They are its own to keep.
//
// Every replica runs it: it must be deterministic, give the same whatever versions were merged first, and read no clock. It may be
// called by several goroutines at the same time, and may use other stores and resolvers. An error, a panic and runtime.Goexit
// make the call that needed it fail with ErrCallback, with their text.
type ResolveFunc func(key []byte, versions []KeyVersion) (Resolution, error)

// Resolver is a rule for versions that did not know each other. Any number of goroutines may use it at once.
type Resolver struct {
	resolver *C.atoll_resolver
	name     string

	lock sync.Mutex
	// Calls under way: the last of them frees a rule that has been closed, since a function may close the rule it serves.
	calls  int
	closed bool
}

func newResolver(resolver *C.atoll_resolver) *Resolver {
	made := &Resolver{resolver: resolver, name: C.GoString(C.atoll_resolver_name(resolver))}
	runtime.SetFinalizer(made, func(r *Resolver) { C.atoll_resolver_free(r.resolver) })
	return made
}

// BuiltinResolvers returns the names of the built-in rules.
func BuiltinResolvers() []string {
	var names []string
	for i := C.size_t(0); ; i++ {
		name := C.atoll_resolver_builtin_name(i)
		if name == nil {
			return names
		}
		names = append(names, C.GoString(name))
	}
}

// BuiltinResolver returns a rule by its name: lww (the latest write), node_priority, fields, set_union, counter, max, min, siblings
// (leaves the choice to the reader).
func BuiltinResolver(name string) (*Resolver, error) {
	cName, wrong := cText("the rule", name)
	if wrong != nil {
		return nil, wrong
	}
	defer free(cName)
	var resolver *C.atoll_resolver
	var err *C.atoll_error
	if status := C.atoll_resolver_builtin(cName, &resolver, &err); status != C.ATOLL_OK {
		return nil, failure(status, err)
	}
	return newResolver(resolver), nil
}

// NodePriority returns the rule by which the write of the first node in a list wins.
func NodePriority(nodes ...string) (*Resolver, error) {
	names := make([][]byte, len(nodes))
	for i, node := range nodes {
		names[i] = []byte(node)
	}
	bytes, offsets, wrong := packed(names)
	if wrong != nil {
		return nil, wrong
	}
	var resolver *C.atoll_resolver
	var err *C.atoll_error
	status := C.atoll_resolver_node_priority((*C.uint8_t)(pointer(bytes)), &offsets[0], C.size_t(len(nodes)), &resolver, &err)
	if status != C.ATOLL_OK {
		return nil, failure(status, err)
	}
	return newResolver(resolver), nil
}

// NewResolver makes a rule of a function. The name is the rule's, in messages; it may not be that of a built-in one. The function
// is let go when the rule is closed.
func NewResolver(name string, function ResolveFunc) (*Resolver, error) {
	if function == nil {
		return nil, &Error{Status: ErrInvalid.Status, Message: "a rule needs a function"}
	}
	cName, wrong := cText("the rule", name)
	if wrong != nil {
		return nil, wrong
	}
	defer free(cName)
	var resolver *C.atoll_resolver
	var err *C.atoll_error
	// The library gives the handle back through atollGoRelease, also when it refuses.
	handle := C.uintptr_t(cgo.NewHandle(function))
	if status := C.resolver_new(cName, handle, &resolver, &err); status != C.ATOLL_OK {
		return nil, failure(status, err)
	}
	return newResolver(resolver), nil
}

// Name returns the name of the rule.
func (r *Resolver) Name() string { return r.name }

func (r *Resolver) enter() error {
	r.lock.Lock()
	defer r.lock.Unlock()
	if r.closed {
		return ErrClosed
	}
	r.calls++
	return nil
}

func (r *Resolver) leave() {
	r.lock.Lock()
	defer r.lock.Unlock()
	r.calls--
	r.freeIfLast()
}

func (r *Resolver) freeIfLast() {
	if r.closed && r.calls == 0 {
		runtime.SetFinalizer(r, nil)
		C.atoll_resolver_free(r.resolver)
	}
}

// Close lets the rule and its function go; later calls return ErrClosed, calls under way go on. Closing twice is allowed.
func (r *Resolver) Close() error {
	r.lock.Lock()
	defer r.lock.Unlock()
	if !r.closed {
		r.closed = true
		r.freeIfLast()
	}
	return nil
}

// Resolve returns what versions of a key come to: one, or several where the rule leaves the choice to the reader; none of none.
// One that was merged carries stamp and name of the latest of its parts. Nothing stored changes.
//
// ErrCallback if a function could not decide, ErrInvalid if a built-in rule cannot read a value.
func (r *Resolver) Resolve(key []byte, versions []KeyVersion) ([]KeyVersion, error) {
	if err := r.enter(); err != nil {
		return nil, err
	}
	defer r.leave()
	bytes, offsets, err := packedVersions(versions)
	if err != nil {
		return nil, err
	}
	var found *C.atoll_versions
	var cErr *C.atoll_error
	status := C.atoll_resolver_resolve(r.resolver, pointer(key), C.size_t(len(key)), (*C.uint8_t)(pointer(bytes)), &offsets[0],
		C.size_t(len(versions)), &found, &cErr)
	if status != C.ATOLL_OK {
		return nil, failure(status, cErr)
	}
	return takenVersions(found)
}

// Present returns a value as a user reads it, where the rule keeps more in it than that: of fields the plain JSON object, of counter
// the number.
func (r *Resolver) Present(value []byte) ([]byte, error) {
	if err := r.enter(); err != nil {
		return nil, err
	}
	defer r.leave()
	var buf *C.atoll_buf
	var err *C.atoll_error
	status := C.atoll_resolver_present(r.resolver, pointer(value), C.size_t(len(value)), &buf, &err)
	if status != C.ATOLL_OK {
		return nil, failure(status, err)
	}
	return taken(buf), nil
}

// Check searches for versions on which the rule breaks what every rule owes: the same result each time, in any order, in any
// grouping, and with repetitions. It returns a text that shows the smallest, "" if it has found none, which proves nothing.
//
// Values are drawn from those given; few and different ones find more. The same seed searches the same cases; 0 cases: 2,000.
func (r *Resolver) Check(seed uint64, cases uint32, values [][]byte) (string, error) {
	if err := r.enter(); err != nil {
		return "", err
	}
	defer r.leave()
	bytes, offsets, err := packed(values)
	if err != nil {
		return "", err
	}
	var buf *C.atoll_buf
	var cErr *C.atoll_error
	status := C.atoll_resolver_check(r.resolver, C.uint64_t(seed), C.uint32_t(cases), (*C.uint8_t)(pointer(bytes)), &offsets[0],
		C.size_t(len(values)), &buf, &cErr)
	if status != C.ATOLL_OK {
		return "", failure(status, cErr)
	}
	if buf == nil {
		return "", nil
	}
	return string(taken(buf)), nil
}

// tell hands a resolution to the library.
func (d Resolution) tell(out *C.atoll_out) C.atoll_status {
	switch d.what {
	case keeps:
		if d.index < 0 {
			return C.ATOLL_E_INVALID
		}
		return C.atoll_out_choose(out, C.size_t(d.index))
	case becomes:
		return C.atoll_out_write(out, pointer(d.value), C.size_t(len(d.value)))
	case removes:
		return C.atoll_out_delete(out)
	}
	return C.ATOLL_E_INVALID
}

// viewsOf copies what the library shows a function.
func viewsOf(versions *C.atoll_version_view, n C.size_t) []KeyVersion {
	made := make([]KeyVersion, int(n))
	for i := range made {
		made[i] = versionOf(C.version_at(versions, C.size_t(i)))
	}
	return made
}
