{{/* SPDX-License-Identifier: Apache-2.0 */}}
{{/* The Deployment of a service. Argument: root, part. */}}

{{- define "cowabungaai.deployment" -}}
{{- $values := .root.Values -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  {{- include "cowabungaai.metadata" . | nindent 2 }}
spec:
  {{- if not (and .part.scales $values.autoscaling.enabled) }}
  replicas: {{ $values.replicas }}
  {{- end }}
  strategy:
    {{- include "cowabungaai.strategy" . | nindent 4 }}
  # Longer than weights take to be copied and loaded.
  progressDeadlineSeconds: {{ add $values.startupSeconds 600 }}
  selector:
    matchLabels:
      {{- include "cowabungaai.selector" .root | nindent 6 }}
  template:
    metadata:
      labels:
        {{- include "cowabungaai.labels" . | nindent 8 }}
      {{- with merge (dict) $values.podAnnotations (.part.annotations | default dict) }}
      annotations:
        {{- toYaml . | nindent 8 }}
      {{- end }}
    spec:
      {{- include "cowabungaai.pod" . | nindent 6 }}
{{- end -}}

{{- define "cowabungaai.strategy" -}}
{{- $gpu := (.root.Values.gpu | default dict).enabled -}}
{{- if not .part.scales -}}
# Two pods must not write into one file.
type: Recreate
{{- else -}}
type: RollingUpdate
rollingUpdate:
  {{- if $gpu }}
  # There may be no device for one more pod.
  maxSurge: 0
  maxUnavailable: 1
  {{- else }}
  maxSurge: 1
  maxUnavailable: 0
  {{- end }}
{{- end -}}
{{- end -}}

{{- define "cowabungaai.pod" -}}
{{- $values := .root.Values -}}
serviceAccountName: {{ include "cowabungaai.name" .root }}
automountServiceAccountToken: false
# A Service's name would give pods variables such as COWABUNGAAI_API_PORT, which are settings of ours.
enableServiceLinks: false
# What is in flight ends: the stop is announced, by the gateway once more, then the service drains, then there is some room.
{{- $announced := index $values.settings "drain-delay-seconds" | default 0 | float64 | ceil | int }}
terminationGracePeriodSeconds: {{ add $values.stopDelaySeconds $announced $values.drainSeconds 15 }}
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  fsGroup: 65532
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile:
    type: RuntimeDefault
{{- with $values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.priorityClassName }}
priorityClassName: {{ . | quote }}
{{- end }}
{{- with $values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.gpu }}
{{- if and .enabled .runtimeClassName }}
runtimeClassName: {{ .runtimeClassName | quote }}
{{- end }}
{{- end }}
topologySpreadConstraints:
  # Where nodes bear no zone, nothing could be started that must be spread over zones.
  {{- range $key, $when := dict "kubernetes.io/hostname" $values.spread "topology.kubernetes.io/zone" "ScheduleAnyway" }}
  - topologyKey: {{ $key }}
    maxSkew: 1
    whenUnsatisfiable: {{ $when }}
    labelSelector:
      matchLabels:
        {{- include "cowabungaai.selector" $.root | nindent 8 }}
    # Pods of the version before count for nothing.
    matchLabelKeys: [pod-template-hash]
  {{- end }}
{{- with include "cowabungaai.modelCopies" . | trim }}
initContainers:
  {{- . | nindent 2 }}
{{- end }}
containers:
  - {{ include "cowabungaai.container" . | indent 4 | trim }}
volumes:
  - name: tmp
    emptyDir:
      sizeLimit: {{ $values.tmpSize }}
  {{- with include "cowabungaai.modelVolumes" . | trim }}
  {{- . | nindent 2 }}
  {{- end }}
  {{- with .part.volumes }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{- define "cowabungaai.containerSecurity" -}}
allowPrivilegeEscalation: false
privileged: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities:
  drop: [ALL]
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "cowabungaai.container" -}}
{{- $values := .root.Values -}}
name: {{ trimPrefix "cowabungaai-" .root.Chart.Name }}
image: {{ $values.image | quote }}
ports:
  - name: {{ .part.port.name }}
    containerPort: {{ .part.port.number }}
  {{- if ne .part.metrics.port .part.port.name }}
  - name: {{ .part.metrics.port }}
    containerPort: {{ $values.metricsPort }}
  {{- end }}
env:
  {{- include "cowabungaai.environment" . | trim | nindent 2 }}
volumeMounts:
  - name: tmp
    mountPath: /tmp
  {{- with include "cowabungaai.modelMounts" . | trim }}
  {{- . | nindent 2 }}
  {{- end }}
  {{- with .part.mounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
securityContext:
  {{- include "cowabungaai.containerSecurity" . | nindent 2 }}
lifecycle:
  preStop:
    # Endpoints and addresses in DNS are gone before the service refuses calls.
    sleep:
      seconds: {{ $values.stopDelaySeconds }}
{{ toYaml .part.probes }}
resources:
  {{- include "cowabungaai.resources" . | nindent 2 }}
{{- end -}}

{{- define "cowabungaai.resources" -}}
{{- $resources := deepCopy .root.Values.resources -}}
{{- $gpu := .root.Values.gpu | default dict -}}
{{- if $gpu.enabled -}}
{{- range list $resources.requests $resources.limits -}}
{{- $_ := set . $gpu.resourceName $gpu.count -}}
{{- end -}}
{{- end -}}
{{ toYaml $resources }}
{{- end -}}

{{- define "cowabungaai.environment" -}}
{{- $values := .root.Values -}}
{{- $prefix := .part.variables -}}
{{- $settings := dict "port" .part.port.number "log-level" $values.logLevel "drain-seconds" $values.drainSeconds -}}
{{- if ne .part.metrics.port .part.port.name -}}
{{- $_ := set $settings "metrics-port" $values.metricsPort -}}
{{- end -}}
{{- range $name, $value := merge $settings $values.settings }}
- name: {{ $prefix }}{{ $name | upper | replace "-" "_" }}
  value: {{ include "cowabungaai.text" $value | quote }}
{{- end }}
{{- with $values.tracing.endpoint }}
- name: OTEL_EXPORTER_OTLP_ENDPOINT
  value: {{ . | quote }}
{{- end }}
{{- with include "cowabungaai.modelPaths" . }}
- name: COWABUNGAAI_MODEL
  value: {{ . | quote }}
{{- end }}
{{- with .part.env }}
{{ toYaml . }}
{{- end }}
{{- end -}}
