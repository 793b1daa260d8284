package atoll

/*
#include <atoll.h>
*/
import "C"

// Option is one that Settings take.
type Option struct {
	// Scope is whose it is: "store" or "cluster".
	Scope string
	// Name is the same in every language.
	Name string
	// Unit is how its value is written: "bytes", "time", "true or false", or the words there are.
	Unit string
	// Default is the value where nothing is set.
	Default string
	// Min and Max are the smallest and largest values; empty where there are none.
	Min, Max string
	// Doc says what it does, and what changing it costs.
	Doc string
}

// AllOptions returns the options there are, of stores and of clusters.
func AllOptions() []Option {
	options := make([]Option, C.atoll_options_count())
	for i := range options {
		var info C.atoll_option_info
		if status := C.atoll_options_describe(C.size_t(i), &info); status != C.ATOLL_OK {
			// The table does not change while the library is loaded.
			panic("atoll: " + Status(status).String())
		}
		// GoString gives "" for NULL.
		options[i] = Option{
			Scope:   C.GoString(info.scope),
			Name:    C.GoString(info.name),
			Unit:    C.GoString(info.unit),
			Default: C.GoString(info.default_value),
			Min:     C.GoString(info.min),
			Max:     C.GoString(info.max),
			Doc:     C.GoString(info.doc),
		}
	}
	return options
}
