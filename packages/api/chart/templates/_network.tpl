{{/* SPDX-License-Identifier: Apache-2.0 */}}
{{/* Whom the gateway may be connected with. Argument: root. */}}

{{- define "api.network" -}}
{{- $values := .Values -}}
{{- $database := $values.database -}}
{{- $backend := dict "app.kubernetes.io/part-of" "cowabungaai" "app.kubernetes.io/component" "backend" -}}
{{- $shown := printf "istio-%s-gateway" $values.expose.gateway -}}
{{- $ingress := dict "namespace" $shown "pods" (dict "app" (printf "%s-ingressgateway" $values.expose.gateway)) -}}
edges:
  {{- range prepend $values.clients $ingress }}
  {{- /* UDS makes names of descriptions, which must differ. */}}
  {{- $pods := values (.pods | default dict) | sortAlpha | join " " }}
  - description: {{ printf "Calls from %s %s" .namespace $pods | trim | quote }}
    direction: Ingress
    namespace: {{ .namespace | quote }}
    pods: {{ toJson (.pods | default dict) }}
    ports: [{{ $values.port }}]
    managed: {{ eq .namespace $shown }}
  {{- end }}
  {{- range $values.backendNamespaces }}
  - description: {{ printf "Backends %s on %s" .namespace (join " " .ports) | quote }}
    direction: Egress
    namespace: {{ .namespace | quote }}
    pods: {{ toJson $backend }}
    ports: {{ toJson .ports }}
  {{- end }}
  {{- if $database.secretName }}
  - description: PostgreSQL
    direction: Egress
    {{- include "cowabungaai.whereabouts" (dict "given" $database "host" $database.host "value" "database" "whose" "the database's") | nindent 4 }}
    ports: [{{ $database.port }}]
  {{- end }}
  {{- if $values.sso.enabled }}
  - description: Keycloak's public keys
    direction: Egress
    namespace: keycloak
    pods: {app.kubernetes.io/name: keycloak}
    ports: [8080]
  {{- end }}
{{- /* Backends in this namespace have no Package of their own. */}}
covers:
  {{- range $values.backendNamespaces }}
  {{- if or (not .namespace) (eq .namespace $.Release.Namespace) }}
  - description: {{ printf "Calls of the gateway on %s" (join " " .ports) | quote }}
    direction: Ingress
    selector: {{ toJson $backend }}
    namespace: {{ $.Release.Namespace | quote }}
    pods: {{ include "cowabungaai.selector" $ | fromYaml | toJson }}
    ports: {{ toJson .ports }}
  {{- end }}
  {{- end }}
  {{- with $values.network.monitoring.namespace }}
  - description: Prometheus reads metrics of backends
    direction: Ingress
    selector: {{ toJson $backend }}
    namespace: {{ . | quote }}
    pods: {{ $values.network.monitoring.pods | default (dict "app.kubernetes.io/name" "prometheus") | toJson }}
    ports: [{{ $values.metricsPort }}]
  {{- end }}
  {{- with $values.tracing }}
  {{- if .endpoint }}
  - description: Traces of backends to the collector
    direction: Egress
    selector: {{ toJson $backend }}
    {{- include "cowabungaai.collector" . | nindent 4 }}
  {{- end }}
  {{- end }}
{{- end -}}
