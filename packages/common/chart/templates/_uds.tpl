{{/* SPDX-License-Identifier: Apache-2.0 */}}
{{/*
What the UDS operator is told of a service. It takes one Package a namespace: where backends share the gateway's, the gateway's
Package speaks for them, too.

Of part: `expose` and `sso` as the Package has them, and `covers`, edges of other pods of the namespace, each with `selector`.
*/}}

{{- define "cowabungaai.udsWanted" -}}
{{- $uds := .root.Values.uds -}}
{{- $ask := dict "root" .root "when" $uds.enabled "api" "uds.dev/v1alpha1/Package" -}}
{{- if include "cowabungaai.wanted" $ask -}}
{{- $gateway := (.root.Values.gateway | default dict).namespace | default .root.Release.Namespace -}}
{{- if or (eq $uds.enabled "always") (eq .part.component "gateway") (ne $gateway .root.Release.Namespace) -}}
true
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "cowabungaai.udsPackage" -}}
{{- $selector := include "cowabungaai.selector" .root | fromYaml -}}
apiVersion: uds.dev/v1alpha1
kind: Package
metadata:
  {{- include "cowabungaai.metadata" . | nindent 2 }}
spec:
  network:
    serviceMesh:
      mode: {{ .root.Values.uds.mesh }}
    {{- with .part.expose }}
    expose:
      {{- toYaml . | nindent 6 }}
    {{- end }}
    allow:
      {{- range include "cowabungaai.allEdges" . | fromYamlArray }}
      {{- if not .managed }}
      {{- include "cowabungaai.allow" (dict "root" $.root "edge" . "selector" $selector) | trim | nindent 6 }}
      {{- end }}
      {{- end }}
      {{- range .part.covers }}
      {{- include "cowabungaai.allow" (dict "root" $.root "edge" . "selector" .selector) | trim | nindent 6 }}
      {{- end }}
  {{- with .part.sso }}
  sso:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}

{{- define "cowabungaai.allow" -}}
{{- $given := . -}}
{{- range $protocol := .edge.protocols | default (list "TCP") }}
- description: {{ printf "%s%s" $given.edge.description (ternary "" (printf ", %s" $protocol) (eq $protocol "TCP")) | quote }}
  direction: {{ $given.edge.direction }}
  selector: {{ toJson $given.selector }}
  {{- if $given.edge.cidr }}
  remoteCidr: {{ $given.edge.cidr | quote }}
  {{- else }}
  remoteNamespace: {{ $given.edge.namespace | default $given.root.Release.Namespace | quote }}
  {{- with $given.edge.pods }}
  remoteSelector: {{ toJson . }}
  {{- end }}
  {{- end }}
  ports: {{ toJson $given.edge.ports }}
  {{- if ne $protocol "TCP" }}
  remoteProtocol: {{ $protocol }}
  {{- end }}
{{- end }}
{{- end -}}
