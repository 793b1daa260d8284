module atoll.dev/go/atoll

go 1.19
