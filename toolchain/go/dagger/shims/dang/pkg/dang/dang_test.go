package dang

import (
	"errors"
	"testing"
)

func TestProgramsAreRefused(t *testing.T) {
	_, runErr := RunDir(t.Context(), t.TempDir(), false)
	_, declareErr := DeclareDir(t.Context(), t.TempDir(), false)
	for name, err := range map[string]error{"RunDir": runErr, "DeclareDir": declareErr} {
		if !errors.Is(err, ErrUnsupported) {
			t.Errorf("%s: %v, want ErrUnsupported", name, err)
		}
	}
}
