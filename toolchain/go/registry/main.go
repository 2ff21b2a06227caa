// Command registry is the distribution project's registry with the one storage driver that a machine without a cloud
// needs. The project's own command links the clients of three clouds: four times the size and the compilation time.
package main

import (
	"os"

	"github.com/distribution/distribution/v3/registry"
	_ "github.com/distribution/distribution/v3/registry/storage/driver/filesystem"
)

func main() {
	if registry.RootCmd.Execute() != nil {
		os.Exit(1)
	}
}
