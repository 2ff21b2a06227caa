// SPDX-License-Identifier: Apache-2.0

package seal

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/spf13/cobra"
)

// run runs a command of this package in a folder of its own.
func run(t *testing.T, arguments ...string) error {
	t.Helper()
	root := &cobra.Command{Use: "courier", SilenceUsage: true, SilenceErrors: true}
	root.AddCommand(Commands()...)
	root.SetArgs(arguments)
	return root.Execute()
}

func contentOf(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestNoKeyAndNothingSignedIsReplaced(t *testing.T) {
	t.Setenv(passwordVariable, "of-this-test")
	folder := t.TempDir()
	private, public := filepath.Join(folder, "cosign.key"), filepath.Join(folder, "cosign.pub")
	if err := run(t, "keygen", "--private", private, "--public", public); err != nil {
		t.Fatal(err)
	}
	signed := filepath.Join(folder, "checksums.txt")
	if err := os.WriteFile(signed, []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(signed, signed+".link"); err != nil {
		t.Fatal(err)
	}
	before := map[string]string{private: contentOf(t, private), public: contentOf(t, public), signed: "text"}
	for _, arguments := range [][]string{
		{"public-key", "--key", private, "--output", private},
		{"sign", signed, "--key", private, "--output", signed},
		{"sign", signed, "--key", private, "--output", signed + ".link"},
		{"sign", signed, "--key", private, "--output", private},
		{"keygen", "--private", private, "--public", filepath.Join(folder, "other.pub")},
		{"keygen", "--private", filepath.Join(folder, "other.key"), "--public", public},
	} {
		if err := run(t, arguments...); err == nil {
			t.Errorf("%v was done", arguments)
		}
	}
	for path, text := range before {
		if contentOf(t, path) != text {
			t.Errorf("%s has changed", path)
		}
	}
	if entries, err := os.ReadDir(folder); err != nil || len(entries) != 4 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
	// The public key can be had again, and a file signed again.
	for range 2 {
		if err := run(t, "public-key", "--key", private, "--output", public); err != nil {
			t.Error(err)
		}
		if err := run(t, "sign", signed, "--key", private); err != nil {
			t.Error(err)
		}
	}
}
