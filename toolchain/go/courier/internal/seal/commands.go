// SPDX-License-Identifier: Apache-2.0

// Package seal makes what verify checks: keys, signatures, signed statements, checksums.
package seal

import (
	"context"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"toolchain/courier/internal/exit"
	"toolchain/courier/internal/files"
	"toolchain/courier/internal/trust"
)

// maxSigned is the largest file that is signed, in bytes: it lies in memory.
const maxSigned = 64 << 20

// passwordVariable is cosign's and Zarf's own.
const passwordVariable = "COSIGN_PASSWORD"

// Commands are `courier keygen`, `public-key`, `sign`, `attest`, `checksums` and `describe`.
func Commands() []*cobra.Command {
	return []*cobra.Command{
		keygen(),
		publicKey(),
		signing("sign FILE", "Sign a small file, such as checksums.txt: a sigstore bundle", (*trust.Signer).Data),
		signing("attest STATEMENT", "Sign an in-toto statement, such as a provenance: a sigstore bundle", (*trust.Signer).Statement),
		checksums(),
		describe(),
	}
}

func keygen() *cobra.Command {
	var private, public string
	command := &cobra.Command{
		Use:   "keygen",
		Short: "Make a key pair as cosign does; the password is in COSIGN_PASSWORD",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			secret, shown, err := trust.Generate([]byte(os.Getenv(passwordVariable)))
			if err != nil {
				return exit.Failure("%v", err)
			}
			// Neither is written where the other cannot be.
			for _, path := range []string{private, public} {
				if err := files.NeedAbsent(path); err != nil {
					return err
				}
			}
			if err := create(private, secret, 0o600); err != nil {
				return err
			}
			return create(public, shown, 0o644)
		},
	}
	command.Flags().StringVar(&private, "private", "cosign.key", "where the private key goes")
	command.Flags().StringVar(&public, "public", "cosign.pub", "where the public key goes")
	return command
}

func publicKey() *cobra.Command {
	var private, output string
	command := &cobra.Command{
		Use:   "public-key --key FILE",
		Short: "Write the public key of a private one, whose password is in COSIGN_PASSWORD",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			pair, err := open(private)
			if err != nil {
				return err
			}
			if err := needOther(output, private); err != nil {
				return err
			}
			text, err := pair.GetPublicKeyPem()
			if err == nil {
				err = os.WriteFile(output, []byte(text), 0o644)
			}
			if err != nil {
				return exit.Failure("%v", err)
			}
			return nil
		},
	}
	command.Flags().StringVar(&private, "key", "cosign.key", "private key, a PEM file")
	command.Flags().StringVarP(&output, "output", "o", "cosign.pub", "where the public key goes")
	return command
}

// create writes a file that must not be there yet: a key that is lost cannot be had again.
func create(path string, text []byte, mode os.FileMode) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return exit.Failure("%v", err)
	}
	_, err = file.Write(text)
	if err == nil {
		err = file.Close()
	}
	if err != nil {
		return exit.Failure("%v", err)
	}
	return nil
}

// needOther refuses an output that would replace what it is made from.
func needOther(output string, sources ...string) error {
	there, err := os.Stat(output)
	if err != nil {
		return nil //nolint:nilerr // nothing is there; whether it can be written is told by writing
	}
	for _, source := range sources {
		if about, err := os.Stat(source); err == nil && os.SameFile(there, about) {
			return exit.Misuse("--output %s: it would replace %s", output, source)
		}
	}
	return nil
}

type signatureSettings struct {
	key       string
	keyless   bool
	tokenFile string
	services  trust.Keyless
	output    string
}

func signing(use, short string, make func(*trust.Signer, context.Context, []byte) ([]byte, error)) *cobra.Command {
	chosen := &signatureSettings{}
	command := &cobra.Command{
		Use: use, Short: short, Args: cobra.ExactArgs(1),
		Long: short + ".\n\nThe password of the key is in " + passwordVariable + ".",
		RunE: func(command *cobra.Command, arguments []string) error {
			signer, err := chosen.signer()
			if err != nil {
				return err
			}
			text, err := read(arguments[0])
			if err != nil {
				return err
			}
			if chosen.output == "" {
				chosen.output = arguments[0] + ".sigstore.json"
			}
			if err := needOther(chosen.output, arguments[0], chosen.key, chosen.tokenFile); err != nil {
				return err
			}
			made, err := make(signer, command.Context(), text)
			if err != nil {
				return exit.Failure("%v", err)
			}
			if err := os.WriteFile(chosen.output, append(made, '\n'), 0o644); err != nil {
				return exit.Failure("%v", err)
			}
			return nil
		},
	}
	flags := command.Flags()
	flags.StringVar(&chosen.key, "key", "", "private key, a PEM file of cosign's or in PKCS#8")
	flags.BoolVar(&chosen.keyless, "keyless", false, "sign with a certificate for an identity instead of a key")
	flags.StringVar(&chosen.tokenFile, "identity-token-file", "", "file with the OpenID Connect token, for --keyless")
	flags.StringVar(&chosen.services.Fulcio, "fulcio-url", "https://fulcio.sigstore.dev", "certificate authority, for --keyless")
	flags.StringVar(&chosen.services.Rekor, "rekor-url", "https://rekor.sigstore.dev", "transparency log, for --keyless; empty for none")
	flags.StringVar(&chosen.services.Timestamp, "timestamp-url", "", "timestamp authority, for --keyless")
	flags.StringVarP(&chosen.output, "output", "o", "", "where the bundle goes; FILE.sigstore.json by default")
	return command
}

func (s *signatureSettings) signer() (*trust.Signer, error) {
	if s.keyless == (s.key != "") {
		return nil, exit.Misuse("expected --key FILE or --keyless")
	}
	if s.keyless {
		token, err := read(s.tokenFile)
		if err != nil {
			return nil, err
		}
		s.services.Token = strings.TrimSpace(string(token))
		signer, err := trust.WithoutKey(s.services)
		if err != nil {
			return nil, exit.Misuse("%v", err)
		}
		return signer, nil
	}
	pair, err := open(s.key)
	if err != nil {
		return nil, err
	}
	return trust.WithKey(pair), nil
}

func open(key string) (*trust.Keypair, error) {
	text, err := read(key)
	if err != nil {
		return nil, err
	}
	pair, err := trust.ReadKeypair(text, []byte(os.Getenv(passwordVariable)))
	if err != nil {
		return nil, exit.Misuse("--key %s: %v", key, err)
	}
	return pair, nil
}

func read(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, exit.Misuse("%v", err)
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxSigned+1))
	if err != nil {
		return nil, exit.Failure("%v", err)
	}
	if len(text) > maxSigned {
		return nil, exit.Misuse("%s is larger than %d MiB; sign its checksum instead", path, maxSigned>>20)
	}
	return text, nil
}
