// SPDX-License-Identifier: Apache-2.0

package trust

import (
	"errors"

	"toolchain/courier/internal/fault"
)

// FaultOf is what a failed check of a signature means; document is what was signed.
func FaultOf(err error, place, document string) *fault.Fault {
	switch {
	case errors.Is(err, ErrOtherKey):
		return fault.New(fault.OtherKey, place, "%v", err)
	case errors.Is(err, ErrChanged):
		return fault.New(fault.Changed, place, "%s was %v", document, err)
	}
	return fault.New(fault.Changed, place, "the signature of %s cannot be used: %v", document, err)
}
