//go:build atoll_static

package atoll

// #cgo pkg-config: --static atoll
// #cgo LDFLAGS: -Wl,-Bstatic -latoll -Wl,-Bdynamic
import "C"
