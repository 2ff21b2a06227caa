{{/* SPDX-License-Identifier: Apache-2.0 */}}
{{/*
An API key as services/api/src/cowabungaai_api/auth/keys.py makes and checks it: cbai_, 43 random digits in base 62, and six
digits of a checksum, which is CRC-32. Templates have no exclusive or: it is looked up, four bits at a time.
*/}}

{{- define "cowabungaai.apiKey" -}}
{{- $body := printf "cbai_%s" (randAlphaNum 43) -}}
{{- $body }}{{ include "cowabungaai.checksum" $body -}}
{{- end -}}

{{/* 16 rows of 16 letters: row a, column b is a xor b, where a letter counts from `a`. */}}
{{- define "cowabungaai.exclusiveOr" -}}
{{- "abcdefghijklmnopbadcfehgjilknmpocdabghefklijopmndcbahgfelkjiponm" -}}
{{- "efghabcdmnopijklfehgbadcnmpojilkghefcdabopmnklijhgfedcbaponmlkji" -}}
{{- "ijklmnopabcdefghjilknmpobadcfehgklijopmncdabgheflkjiponmdcbahgfe" -}}
{{- "mnopijklefghabcdnmpojilkfehgbadcopmnklijghefcdabponmlkjihgfedcba" -}}
{{- end -}}

{{- define "cowabungaai.checksum" -}}
{{- $xor := include "cowabungaai.exclusiveOr" . -}}
{{/* CRC-32 of each number below 16, the lowest four bits first. */}}
{{- $table := list
    "aaaaaaaa" "egabhlnb" "imacogld" "mkadjngc"
    "ajbemngh" "epbflglg" "ifbgclne" "mdbhfaaf"
    "acdiilno" "eedjpaap" "iodkgngn" "midlbglm"
    "alcmeglj" "encndngi" "ihcokaak" "mbcpnlnl"
-}}
{{- $crc := list 15 15 15 15 15 15 15 15 -}}
{{- range $position := until (len .) -}}
{{- $byte := index $ $position | int -}}
{{- range list (mod $byte 16) (div $byte 16) -}}
{{- $low := sub (index $xor (add (mul 16 (index $crc 0)) . | int) | int) 97 -}}
{{- $row := index $table ($low | int) -}}
{{- $next := list -}}
{{- range $place := until 8 -}}
{{- $above := 0 -}}
{{- if lt $place 7 -}}{{- $above = index $crc (add1 $place | int) -}}{{- end -}}
{{- $column := sub (index $row $place | int) 97 -}}
{{- $next = append $next (sub (index $xor (add (mul 16 $above) $column | int) | int) 97) -}}
{{- end -}}
{{- $crc = $next -}}
{{- end -}}
{{- end -}}
{{- $number := 0 -}}
{{- range reverse $crc -}}
{{- $number = add (mul 16 $number) (sub 15 .) -}}
{{- end -}}
{{- $digits := "" -}}
{{- range until 6 -}}
{{- $digit := mod $number 62 | int -}}
{{- $alphabet := "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz" -}}
{{- $digits = printf "%s%s" (substr $digit (add1 $digit | int) $alphabet) $digits -}}
{{- $number = div $number 62 -}}
{{- end -}}
{{- $digits -}}
{{- end -}}
