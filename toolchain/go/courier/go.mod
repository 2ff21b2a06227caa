module toolchain/courier

go 1.26

require github.com/spf13/cobra v1.10.2

require (
	github.com/inconshreveable/mousetrap v1.1.0 // indirect
	github.com/klauspost/compress v1.19.1 // indirect
	github.com/restic/chunker v0.4.0 // indirect
	github.com/spf13/pflag v1.0.10 // indirect
)
