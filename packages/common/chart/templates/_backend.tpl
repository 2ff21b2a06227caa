{{/* SPDX-License-Identifier: Apache-2.0 */}}
{{/*
What is special of a backend: it speaks gRPC, serves Prometheus from a port of its own, and knows nobody but the gateway.
Its health is what its own server says: NOT_SERVING while it loads, and when its engine does not answer.
*/}}

{{- define "cowabungaai.backend" -}}
{{- $values := .Values -}}
component: backend
variables: COWABUNGAAI_
port: {name: grpc, number: {{ $values.port }}}
metrics: {port: metrics, path: /metrics}
headless: true
scales: true
probes:
  startupProbe:
    grpc: {port: {{ $values.port }}}
    periodSeconds: 2
    timeoutSeconds: 5
    failureThreshold: {{ div (add1 $values.startupSeconds) 2 }}
  readinessProbe:
    grpc: {port: {{ $values.port }}}
    periodSeconds: 5
    timeoutSeconds: 5
    failureThreshold: 2
  livenessProbe:
    grpc: {port: {{ $values.port }}}
    periodSeconds: 15
    timeoutSeconds: 10
    # Longer than a drain, which a backend begins by itself when its engine has died.
    failureThreshold: {{ add 2 (div $values.drainSeconds 15) }}
edges:
  - description: Calls of the gateway
    direction: Ingress
    namespace: {{ $values.gateway.namespace | quote }}
    pods: {app.kubernetes.io/part-of: cowabungaai, app.kubernetes.io/component: gateway}
    ports: [{{ $values.port }}]
{{- end -}}
