// SPDX-License-Identifier: Apache-2.0

package media

import (
	_ "embed"
	"fmt"
	"strings"
	"text/template"

	"toolchain/courier/internal/files"
)

// Names of what describes a medium. The sums are for `sha256sum --check`.
const (
	readmeName = "README.txt"
	partSums   = "PARTS.sha256"
	wholeSums  = "WHOLE.sha256"
)

//go:embed readme.txt
var readmeText string

var readmeTemplate = template.Must(template.New(readmeName).Funcs(template.FuncMap{"quoted": quoted}).Parse(readmeText))

// quoted is a word of a shell.
func quoted(word string) string { return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'" }

// readme says, in plain words, what a medium is and how the set becomes whole again.
func readme(manifest *Manifest, number int) (string, error) {
	// The command that joins a file is long where it has many parts; the shell's own pattern is not.
	var cut, whole []string
	courier := 0
	for _, file := range manifest.Files {
		if len(file.Parts) > 1 || !manifest.Folder {
			cut = append(cut, file.Path)
		}
		if strings.HasPrefix(file.Path, "tools/courier") && len(file.Parts) == 1 {
			courier = file.Parts[0].Medium
			whole = append(whole, file.Parts[0].Path)
		}
	}
	const shown = 20
	values := map[string]any{
		"Number": number, "Media": manifest.Media, "Name": manifest.Name, "Size": files.Bytes(manifest.Size),
		"Folder": manifest.Folder, "Cut": cut[:min(shown, len(cut))], "More": max(0, len(cut)-shown),
		"Courier": courier, "Program": strings.Join(whole, " "),
	}
	var text strings.Builder
	if err := readmeTemplate.Execute(&text, values); err != nil {
		return "", fmt.Errorf("README.txt: %w", err)
	}
	return text.String(), nil
}
