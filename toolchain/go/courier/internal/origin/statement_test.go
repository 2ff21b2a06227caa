// SPDX-License-Identifier: Apache-2.0

package origin

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"toolchain/courier/internal/fault"
)

const good = `{"_type":"https://in-toto.io/Statement/v1","predicateType":"https://slsa.dev/provenance/v1",
"subject":[{"name":"p.tar.zst","digest":{"sha256":"aa"},"annotations":{"size":"10"}},
{"name":"p.tar.zst#zarf.yaml","digest":{"sha256":"bb"}}],
"predicate":{"buildDefinition":{"buildType":"https://b","resolvedDependencies":[{"name":"image:i:1","digest":{"sha256":"cc"}}]},
"runDetails":{"builder":{"id":"https://x"}}}}`

func parsed(t *testing.T) *Statement {
	t.Helper()
	statement, err := Parse([]byte(good), "p")
	if err != nil {
		t.Fatal(err)
	}
	return statement
}

func TestAFileIsComparedByNameDigestAndSize(t *testing.T) {
	for name, one := range map[string]struct {
		file, digest string
		size         int64
		whole        bool
		kind         *fault.Kind
	}{
		"the same":           {"p.tar.zst", "aa", 10, true, nil},
		"renamed":            {"q.tar.zst", "aa", 10, true, fault.Name},
		"other":              {"p.tar.zst", "ff", 10, true, fault.Origin},
		"shorter, readable":  {"p.tar.zst", "ff", 9, true, fault.Origin},
		"shorter and broken": {"p.tar.zst", "ff", 9, false, fault.Truncated},
		"other file":         {"q.tar.zst", "ff", 10, true, fault.Name},
	} {
		found := parsed(t).Check(one.file, one.digest, one.size, one.whole)
		if (found == nil) != (one.kind == nil) || found != nil && found.Kind != one.kind {
			t.Errorf("%s: %v", name, found)
		}
	}
}

func TestWhatHasNoArchiveIsComparedByItsRoot(t *testing.T) {
	statement := parsed(t)
	if found := statement.CheckRoot("p.tar.zst", "zarf.yaml", "bb"); found != nil {
		t.Error(found)
	}
	if found := statement.CheckRoot("q.tar.zst", "zarf.yaml", "bb"); found == nil || found.Kind != fault.Name {
		t.Error(found)
	}
	if found := statement.CheckRoot("p.tar.zst", "zarf.yaml", "ff"); found == nil || found.Kind != fault.Origin {
		t.Error(found)
	}
}

func TestInputsAreFoundByName(t *testing.T) {
	statement := parsed(t)
	if digest, any := statement.Dependency(ImagePrefix, "i:1"); digest != "cc" || !any {
		t.Error(digest, any)
	}
	if digest, any := statement.Dependency(ImagePrefix, "other"); digest != "" || !any {
		t.Error(digest, any)
	}
	if digest, any := statement.Dependency(ModelPrefix, "m"); digest != "" || any {
		t.Error(digest, any)
	}
}

func TestOtherStatementsAreRefused(t *testing.T) {
	for _, text := range []string{
		"", "[]", "{}", strings.Replace(good, "provenance/v1", "provenance/v0.2", 1), strings.Replace(good, `"https://b"`, `""`, 1),
		strings.Replace(good, `"https://x"`, `""`, 1), strings.Replace(good, "Statement/v1", "Statement/v2", 1),
	} {
		if _, err := Parse([]byte(text), "p"); fault.As(err) == nil || fault.As(err).Kind != fault.Origin {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestProvenanceIsFoundBesideOrInItsFolder(t *testing.T) {
	top := t.TempDir()
	file := filepath.Join(top, "packages", "p.tar.zst")
	if found, err := Find(file); found != "" || err != nil {
		t.Error(found, err)
	}
	for _, place := range []string{"packages/provenance", "packages", "provenance"} {
		if err := os.MkdirAll(filepath.Join(top, place), 0o700); err != nil {
			t.Fatal(err)
		}
		wanted := filepath.Join(top, place, "p.tar.zst"+Suffix)
		if err := os.WriteFile(wanted, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if found, err := Find(file); found != wanted || err != nil {
			t.Errorf("expected %s, got %s %v", wanted, found, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(good))
	f.Fuzz(func(t *testing.T, text []byte) {
		statement, err := Parse(text, "p")
		if err == nil {
			statement.Check("p", "aa", 1, false)
			statement.Dependency(ImagePrefix, "i")
		}
	})
}
