module calls

go 1.19

require atoll.dev/go/atoll v0.0.0

replace atoll.dev/go/atoll => ../../../bindings/go
