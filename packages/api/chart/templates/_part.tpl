{{/* SPDX-License-Identifier: Apache-2.0 */}}
{{/* What is special of the gateway; see packages/common/chart/templates/_all.tpl. Argument: root. */}}

{{- define "api.part" -}}
{{- $values := .Values -}}
{{- $database := $values.database -}}
{{- if and (gt (int $values.replicas) 1) (not $database.secretName) -}}
{{- fail "replicas: more than one needs database.secretName, since a database in a file is not shared" -}}
{{- end -}}
{{- if and $database.host (not $database.secretName) -}}
{{- fail "database.secretName: name the Secret that holds the user and the password for database.host" -}}
{{- end -}}
{{- range $values.models -}}
  {{- if not (or (contains ":" .backend) (hasKey $values.backends .backend)) -}}
    {{- fail (printf "models: the backend %q of %q is neither in backends nor an address, HOST:PORT" .backend .name) -}}
  {{- end -}}
{{- end -}}
{{- $selector := include "cowabungaai.selector" . | fromYaml -}}
component: gateway
variables: COWABUNGAAI_API_
port: {name: http, number: {{ $values.port }}}
metrics:
  port: http
  path: /metrics
  authorization:
    credentials: {{ include "api.monitorSecret" . }}
headless: false
scales: {{ not (empty $database.secretName) }}
probes:
  startupProbe:
    httpGet: {path: /livez, port: http}
    periodSeconds: 1
    timeoutSeconds: 5
    failureThreshold: {{ $values.startupSeconds }}
  readinessProbe:
    httpGet: {path: /readyz, port: http}
    periodSeconds: 5
    timeoutSeconds: 5
    failureThreshold: 2
  livenessProbe:
    httpGet: {path: /livez, port: http}
    periodSeconds: 10
    timeoutSeconds: 5
    failureThreshold: 4
env:
  - {name: COWABUNGAAI_API_CONFIG, value: /etc/cowabungaai/models.yaml}
  - {name: COWABUNGAAI_API_ADMIN_KEY_FILE, value: /run/secrets/cowabungaai/admin-key/key}
  {{- if and $database.secretName $database.host }}
  {{- range $variable, $key := dict "PGUSER" $database.userKey "PGPASSWORD" $database.passwordKey }}
  - name: {{ $variable }}
    valueFrom: {secretKeyRef: {name: {{ $database.secretName | quote }}, key: {{ $key | quote }}}}
  {{- end }}
  - name: COWABUNGAAI_API_DATABASE_URL
    {{- $host := contains ":" $database.host | ternary (printf "[%s]" $database.host) $database.host }}
    value: {{ printf "postgresql://%s:%d/%s" $host (int $database.port) $database.name | quote }}
  {{- else if $database.secretName }}
  - {name: COWABUNGAAI_API_DATABASE_URL_FILE, value: /run/secrets/cowabungaai/database/url}
  {{- end }}
mounts:
  - {name: models, mountPath: /etc/cowabungaai, readOnly: true}
  - {name: admin-key, mountPath: /run/secrets/cowabungaai/admin-key, readOnly: true}
  {{- range $number, $secret := $values.secrets }}
  - {name: given-{{ $number }}, mountPath: {{ printf "/run/secrets/cowabungaai/given/%s" $secret.name | quote }}, readOnly: true}
  {{- end }}
  {{- if not $database.secretName }}
  - {name: data, mountPath: /var/lib/cowabungaai}
  {{- else if not $database.host }}
  - {name: database, mountPath: /run/secrets/cowabungaai/database, readOnly: true}
  {{- end }}
volumes:
  - name: models
    configMap: {name: {{ include "cowabungaai.name" . }}-models}
  - name: admin-key
    secret:
      secretName: {{ include "api.adminSecret" . | quote }}
      items: [{key: {{ $values.adminKey.key | quote }}, path: key}]
  {{- range $number, $secret := $values.secrets }}
  - name: given-{{ $number }}
    secret: {secretName: {{ $secret.name | quote }}}
  {{- end }}
  {{- if not $database.secretName }}
  - name: data
    {{- if $values.volume.persistent }}
    persistentVolumeClaim: {claimName: {{ include "cowabungaai.name" . }}}
    {{- else }}
    emptyDir: {sizeLimit: {{ $values.volume.size | quote }}}
    {{- end }}
  {{- else if not $database.host }}
  - name: database
    secret:
      secretName: {{ $database.secretName | quote }}
      items: [{key: {{ $database.key | quote }}, path: url}]
  {{- end }}
{{ include "api.network" . }}
expose:
  - host: {{ $values.expose.host | quote }}
    gateway: {{ $values.expose.gateway }}
    service: {{ include "cowabungaai.name" . }}
    selector: {{ toJson $selector }}
    port: {{ $values.port }}
    # What is for Prometheus alone is not shown outside, and neither are the kubelet's probes.
    advancedHTTP:
      match:
        - {name: openai, uri: {prefix: /openai/}}
        - {name: cowabungaai, uri: {prefix: /cowabungaai/}}
{{ include "api.sso" . }}
{{- end -}}

{{- define "api.adminSecret" -}}
{{- .Values.adminKey.secretName | default (printf "%s-admin-key" (include "cowabungaai.name" .)) -}}
{{- end -}}

{{- define "api.monitorSecret" -}}
{{- $own := dict "name" .Values.metricsKey.secretName "key" .Values.metricsKey.key -}}
{{- $admin := dict "name" (include "api.adminSecret" .) "key" .Values.adminKey.key -}}
{{- ternary $own $admin (not (empty .Values.metricsKey.secretName)) | toJson -}}
{{- end -}}
