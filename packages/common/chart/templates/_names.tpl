{{/* SPDX-License-Identifier: Apache-2.0 */}}
{{/* Names and labels. Argument: the chart's root. */}}

{{- define "cowabungaai.name" -}}
{{- default .Chart.Name .Values.name -}}
{{- end -}}

{{- define "cowabungaai.selector" -}}
app.kubernetes.io/name: {{ include "cowabungaai.name" . }}
{{- end -}}

{{/* Argument: root, part. */}}
{{- define "cowabungaai.labels" -}}
{{ include "cowabungaai.selector" .root }}
app.kubernetes.io/part-of: cowabungaai
app.kubernetes.io/component: {{ .part.component }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
{{- end -}}

{{/* Argument: root, part; `suffix` of the name where it has one. */}}
{{- define "cowabungaai.metadata" -}}
name: {{ include "cowabungaai.name" .root }}{{ with .suffix }}-{{ . }}{{ end }}
namespace: {{ .root.Release.Namespace }}
labels:
  {{- include "cowabungaai.labels" . | nindent 2 }}
{{- end -}}

{{/* "true" where a resource is wanted. Argument: root, when (auto, always or never), api (group/version/kind). */}}
{{- define "cowabungaai.wanted" -}}
{{- if eq .when "always" -}}
true
{{- else if and (eq .when "auto") (.root.Capabilities.APIVersions.Has .api) -}}
true
{{- end -}}
{{- end -}}

{{/* A value as a variable of a container holds it: whole numbers without an exponent. */}}
{{- define "cowabungaai.text" -}}
{{- if kindIs "float64" . -}}
{{- if eq (floor .) . -}}{{ int64 . }}{{- else -}}{{ . }}{{- end -}}
{{- else -}}
{{ . }}
{{- end -}}
{{- end -}}
