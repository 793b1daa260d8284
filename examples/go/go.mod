module story

go 1.19

require atoll.dev/go/atoll v0.0.0

// Until the package is published under its name: where it lies in the sources.
replace atoll.dev/go/atoll => ../../bindings/go
