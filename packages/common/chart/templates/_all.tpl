{{/* SPDX-License-Identifier: Apache-2.0 */}}
{{/*
All resources of a service. Argument: the chart's root, and `part`, the name of a template that says in YAML what is
special of the service:
  component    backend or gateway
  variables    prefix of the settings' environment variables
  port         {name, number}; grpc or http
  metrics      {port, path}; the port's name, and where Prometheus reads
  headless     whether the Service is the pods' addresses, so that a client spreads its calls over them
  probes       startupProbe, readinessProbe, livenessProbe
  env, mounts, volumes, annotations   of the pod
  scales       whether there may be more than one replica
  edges        what may be connected: see _network.tpl
  expose, sso, covers   of the UDS Package: see _uds.tpl
*/}}

{{- define "cowabungaai.all" -}}
{{- $part := include .part .root | fromYaml -}}
{{- with $part.Error -}}{{- fail (printf "%s: %s" $.part .) -}}{{- end -}}
{{- if and (ne $part.metrics.port $part.port.name) (eq (int .root.Values.metricsPort) (int $part.port.number)) -}}
{{- fail (printf "metricsPort: %d is the port of the service; name another one" (int .root.Values.metricsPort)) -}}
{{- end -}}
{{- $given := dict "root" .root "part" $part -}}
{{ include "cowabungaai.account" $given }}
---
{{ include "cowabungaai.deployment" $given }}
---
{{ include "cowabungaai.service" $given }}
---
{{ include "cowabungaai.disruption" $given }}
{{- if and $part.scales .root.Values.autoscaling.enabled }}
---
{{ include "cowabungaai.autoscaler" $given }}
{{- end }}
{{- if .root.Values.network.enabled }}
---
{{ include "cowabungaai.networkPolicy" $given }}
{{- end }}
{{- $monitor := dict "root" .root "when" .root.Values.serviceMonitor.enabled "api" "monitoring.coreos.com/v1/ServiceMonitor" }}
{{- if include "cowabungaai.wanted" $monitor }}
---
{{ include "cowabungaai.serviceMonitor" $given }}
{{- end }}
{{- if include "cowabungaai.udsWanted" $given }}
---
{{ include "cowabungaai.udsPackage" $given }}
{{- end }}
{{- end -}}

{{/* Nothing in a pod asks Kubernetes' API; the account is what a service mesh knows the workload by. */}}
{{- define "cowabungaai.account" -}}
apiVersion: v1
kind: ServiceAccount
metadata:
  {{- include "cowabungaai.metadata" . | nindent 2 }}
automountServiceAccountToken: false
{{- end -}}

{{- define "cowabungaai.service" -}}
apiVersion: v1
kind: Service
metadata:
  {{- include "cowabungaai.metadata" . | nindent 2 }}
spec:
  {{- if .part.headless }}
  # The gateway asks for all addresses, and spreads requests over them; one connection through a virtual address would
  # leave them all at one replica.
  clusterIP: None
  {{- end }}
  selector:
    {{- include "cowabungaai.selector" .root | nindent 4 }}
  ports:
    - name: {{ .part.port.name }}
      port: {{ .part.port.number }}
      targetPort: {{ .part.port.name }}
      appProtocol: {{ .part.port.name }}
    {{- if ne .part.metrics.port .part.port.name }}
    - name: {{ .part.metrics.port }}
      port: {{ .root.Values.metricsPort }}
      targetPort: {{ .part.metrics.port }}
      appProtocol: http
    {{- end }}
{{- end -}}

{{/* At most so many pods are taken away at once, so that a node can always be drained. */}}
{{- define "cowabungaai.disruption" -}}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  {{- include "cowabungaai.metadata" . | nindent 2 }}
spec:
  maxUnavailable: {{ .root.Values.maxUnavailable }}
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels:
      {{- include "cowabungaai.selector" .root | nindent 6 }}
{{- end -}}

{{- define "cowabungaai.autoscaler" -}}
{{- $scaling := .root.Values.autoscaling -}}
{{- $custom := dict "root" .root "when" $scaling.customMetrics "api" "custom.metrics.k8s.io/v1beta1" -}}
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  {{- include "cowabungaai.metadata" . | nindent 2 }}
spec:
  scaleTargetRef:
    apiVersion: apps/v1
    kind: Deployment
    name: {{ include "cowabungaai.name" .root }}
  minReplicas: {{ .root.Values.replicas }}
  maxReplicas: {{ max .root.Values.replicas $scaling.maxReplicas }}
  metrics:
    - type: Resource
      resource:
        name: cpu
        target:
          type: Utilization
          averageUtilization: {{ $scaling.cpuPercent }}
    {{- if include "cowabungaai.wanted" $custom }}
    {{- range $scaling.metrics }}
    - type: Pods
      pods:
        metric:
          name: {{ .name }}
        target:
          type: AverageValue
          averageValue: {{ .averageValue | quote }}
    {{- end }}
    {{- end }}
  behavior:
    scaleDown:
      # A replica that is gone took its cache and, with weights, minutes of loading with it.
      stabilizationWindowSeconds: {{ $scaling.scaleDownSeconds }}
      policies:
        - type: Pods
          value: 1
          periodSeconds: 60
{{- end -}}

{{- define "cowabungaai.serviceMonitor" -}}
{{- $values := .root.Values.serviceMonitor -}}
apiVersion: monitoring.coreos.com/v1
kind: ServiceMonitor
metadata:
  {{- include "cowabungaai.metadata" . | nindent 2 }}
    {{- with $values.labels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  selector:
    matchLabels:
      {{- include "cowabungaai.selector" .root | nindent 6 }}
  endpoints:
    - port: {{ .part.metrics.port }}
      path: {{ .part.metrics.path }}
      interval: {{ $values.interval }}
      {{- with .part.metrics.authorization }}
      authorization:
        {{- toYaml . | nindent 8 }}
      {{- end }}
{{- end -}}
