{{/* SPDX-License-Identifier: Apache-2.0 */}}
{{/*
A Secret that is generated once: on every later installation it has what it has in the cluster. Argument: root, part, suffix,
key, and `new`, a template that makes the value. Without a cluster, as `helm template` renders, every rendering makes
another value; who applies such renderings names a Secret that exists.
*/}}

{{- define "cowabungaai.keptSecret" -}}
{{- $name := printf "%s-%s" (include "cowabungaai.name" .root) .suffix -}}
{{- $found := lookup "v1" "Secret" .root.Release.Namespace $name -}}
{{- if and $found (not (hasKey ($found.data | default dict) .key)) -}}
{{- fail (printf "Secret %s in namespace %s has no entry %s; delete it, or name another" $name .root.Release.Namespace .key) -}}
{{- end -}}
apiVersion: v1
kind: Secret
metadata:
  {{- include "cowabungaai.metadata" . | nindent 2 }}
  annotations:
    # It outlives the release: what was given to people stays good after a new installation.
    helm.sh/resource-policy: keep
type: Opaque
data:
  {{ .key }}: {{ if $found }}{{ index $found.data .key }}{{ else }}{{ include .new .root | b64enc }}{{ end }}
{{- end -}}
