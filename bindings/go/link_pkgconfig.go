//go:build !atoll_static

package atoll

// #cgo pkg-config: atoll
import "C"
