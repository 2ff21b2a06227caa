// Package distconsts stands in for github.com/dagger/dagger/engine/distconsts,
// a nested module that is not served. It holds the names and paths on which the
// engine, its command line and its container agree. Nothing is missing that the
// engine and the command line use; names used only by their tests are left out.
package distconsts

const (
	// EngineContainerName is the container that `dagger engine` looks for.
	EngineContainerName = "dagger-engine.dev"
	// DefaultEngineSockAddr is where an engine listens unless told otherwise.
	DefaultEngineSockAddr = "unix:///run/dagger/engine.sock"

	// Paths inside the engine's container.
	RuncPath                         = "/usr/local/bin/runc"
	DaggerInitPath                   = "/usr/local/bin/dagger-init"
	EngineDefaultStateDir            = "/var/lib/dagger"
	EngineContainerBuiltinContentDir = "/usr/local/share/dagger/content"
	EngineCustomCACertsDir           = "/usr/local/share/ca-certificates"

	// Variables that hold the digest of each built-in SDK's manifest.
	GoSDKManifestDigestEnvName         = "DAGGER_GO_SDK_MANIFEST_DIGEST"
	PythonSDKManifestDigestEnvName     = "DAGGER_PYTHON_SDK_MANIFEST_DIGEST"
	TypescriptSDKManifestDigestEnvName = "DAGGER_TYPESCRIPT_SDK_MANIFEST_DIGEST"

	// AlpineImage is what `dagger core terminal` runs when no image is named.
	AlpineImage = "alpine:3.22.1"

	// OCIVersionAnnotation is read to find the newest released version.
	OCIVersionAnnotation = "org.opencontainers.image.version"
)
