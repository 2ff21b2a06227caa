{{/* SPDX-License-Identifier: Apache-2.0 */}}
{{/*
What a workload may be connected with: a list of edges in YAML, from which both the NetworkPolicy and the UDS Package are made.
An edge:
  description  what it is for
  direction    Ingress or Egress
  namespace    of the other side, the release's own where it is empty, all with "*"; or `cidr`
  pods         labels of the other side's pods; all where there are none
  ports        of the side that is connected to
  protocols    TCP where none is given
  named        whether DNS is asked for the other side although `cidr` gives its addresses
  managed      whether the UDS operator makes it by itself
Argument: root, part.
*/}}

{{- define "cowabungaai.edges" -}}
{{- $network := .root.Values.network -}}
{{- with .part.edges }}
{{ toYaml . }}
{{- end }}
{{- with $network.monitoring.namespace }}
- description: Prometheus reads metrics
  direction: Ingress
  namespace: {{ . | quote }}
  pods: {{ $network.monitoring.pods | default (dict "app.kubernetes.io/name" "prometheus") | toJson }}
  ports: [{{ include "cowabungaai.metricsNumber" $ }}]
{{- end }}
{{- with .root.Values.tracing }}
{{- if .endpoint }}
- description: Traces to the collector
  direction: Egress
  {{- include "cowabungaai.collector" . | nindent 2 }}
{{- end }}
{{- end }}
{{- range $direction := list "Ingress" "Egress" }}
{{- range index $network ($direction | lower) }}
- {{ merge (dict "direction" $direction) . | toJson }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "cowabungaai.metricsNumber" -}}
{{- ternary .part.port.number .root.Values.metricsPort (eq .part.metrics.port .part.port.name) -}}
{{- end -}}

{{/* The other side of an edge to the collector. The schema sees to that the endpoint has a port. Argument: tracing. */}}
{{- define "cowabungaai.collector" -}}
{{- $url := urlParse .endpoint -}}
{{ include "cowabungaai.whereabouts" (dict "given" . "host" $url.hostname "value" "tracing" "whose" "the collector's") }}
{{- if and .cidr (not (include "cowabungaai.addresses" $url.hostname)) }}
named: true
{{- end }}
ports: [{{ $url.host | splitList ":" | last }}]
{{- end -}}

{{/*
Where somebody is, as an edge has it: the addresses or pods that a value names, or the address that its host is.
Argument: given, which has cidr, namespace and pods; host; the value's name, and whose pods these are, for the message.
*/}}
{{- define "cowabungaai.whereabouts" -}}
{{- $address := include "cowabungaai.addresses" .host -}}
{{- if .given.cidr -}}
cidr: {{ .given.cidr | quote }}
{{- else if .given.pods -}}
namespace: {{ .given.namespace | quote }}
pods: {{ toJson .given.pods }}
{{- else if $address -}}
cidr: {{ $address | quote }}
{{- else -}}
{{- fail (printf "%s.pods: name labels of %s pods, else all of %s.namespace could be reached; or %s.cidr" .value .whose .value .value) -}}
{{- end -}}
{{- end -}}

{{/* A host as addresses, of which there is one; empty where it is a name. Argument: the host. */}}
{{- define "cowabungaai.addresses" -}}
{{- $byte := "(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])" -}}
{{- $v4 := printf "%s([.]%s){3}" $byte $byte -}}
{{- $group := "[0-9a-fA-F]{1,4}" -}}
{{- $whole := printf "(%s:){7}%s|(%s:){6}%s" $group $group $group $v4 -}}
{{- $shortened := printf "(:|(%s:)+):((%s:)*(%s|%s))?" $group $group $group $v4 -}}
{{- if regexMatch (printf "^(%s|%s)$" $whole $shortened) . -}}
{{ . }}/128
{{- else if regexMatch (printf "^%s$" $v4) . -}}
{{ . }}/32
{{- end -}}
{{- end -}}

{{/* Whoever connects to somebody by name asks DNS. */}}
{{- define "cowabungaai.allEdges" -}}
{{- $edges := include "cowabungaai.edges" . | fromYamlArray -}}
{{- $dns := .root.Values.network.dns -}}
{{- $asks := false -}}
{{- range $edges -}}{{- if and (eq .direction "Egress") (or .named (not .cidr)) -}}{{- $asks = true -}}{{- end -}}{{- end -}}
{{- if $asks -}}
{{- $pods := $dns.pods | default (dict "k8s-app" "kube-dns") -}}
{{- $edge := dict "description" "Names in DNS" "direction" "Egress" "namespace" $dns.namespace "pods" $pods -}}
{{- $ports := list $dns.port -}}
{{- $edges = append $edges (merge $edge (dict "ports" $ports "protocols" (list "UDP" "TCP") "managed" true)) -}}
{{- end -}}
{{- toYaml $edges -}}
{{- end -}}

{{/* All that is not named here is denied, in both directions. */}}
{{- define "cowabungaai.networkPolicy" -}}
{{- $edges := include "cowabungaai.allEdges" . | fromYamlArray -}}
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  {{- include "cowabungaai.metadata" . | nindent 2 }}
spec:
  podSelector:
    matchLabels:
      {{- include "cowabungaai.selector" .root | nindent 6 }}
  policyTypes: [Ingress, Egress]
  {{- range $direction, $peer := dict "Ingress" "from" "Egress" "to" }}
  {{ $direction | lower }}:
    {{- $named := false }}
    {{- range $edges }}
    {{- if eq .direction $direction }}
    {{- $named = true }}
    # {{ .description }}
    - {{ $peer }}:
        - {{ include "cowabungaai.peer" (dict "root" $.root "edge" .) | indent 10 | trim }}
      ports:
        {{- $protocols := .protocols | default (list "TCP") }}
        {{- range $port := .ports }}
        {{- range $protocols }}
        - port: {{ $port }}
          protocol: {{ . }}
        {{- end }}
        {{- end }}
    {{- end }}
    {{- end }}
    {{- if not $named }} []
    {{- end }}
  {{- end }}
{{- end -}}

{{- define "cowabungaai.peer" -}}
{{- if .edge.cidr -}}
ipBlock:
  cidr: {{ .edge.cidr | quote }}
{{- else -}}
namespaceSelector:
  {{- if eq (.edge.namespace | default "") "*" }} {}
  {{- else }}
  matchLabels:
    kubernetes.io/metadata.name: {{ .edge.namespace | default .root.Release.Namespace }}
  {{- end }}
{{- with .edge.pods }}
podSelector:
  matchLabels:
    {{- toYaml . | nindent 4 }}
{{- end }}
{{- end -}}
{{- end -}}
