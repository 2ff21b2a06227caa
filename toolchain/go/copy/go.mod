module toolchain/copy

go 1.26
