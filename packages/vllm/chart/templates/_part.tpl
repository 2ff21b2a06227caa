{{/* SPDX-License-Identifier: Apache-2.0 */}}
{{/* What vLLM has beside what backends have. Argument: root. */}}

{{- define "vllm.part" -}}
{{- $part := include "cowabungaai.backend" . | fromYaml -}}
{{- $own := include "vllm.own" . | fromYaml -}}
{{ toYaml (merge $part $own) }}
{{- end -}}

{{- define "vllm.own" -}}
annotations:
  # The file is read when the service starts.
  ai.cowabunga/config: {{ print (include "vllm.config" .) .Values.chatTemplate.text | sha256sum }}
env:
  - {name: COWABUNGAAI_CONFIG, value: /etc/cowabungaai/config.yaml}
mounts:
  - {name: config, mountPath: /etc/cowabungaai, readOnly: true}
  - {name: shared-memory, mountPath: /dev/shm}
volumes:
  - name: config
    configMap: {name: {{ include "cowabungaai.name" . }}-config}
  - name: shared-memory
    emptyDir: {medium: Memory, sizeLimit: {{ .Values.sharedMemorySize | quote }}}
{{- end -}}

{{- define "vllm.config" -}}
{{- $config := deepCopy .Values.config -}}
{{- $engine := $config.engine | default dict -}}
{{- if gt (int .Values.gpu.count) 1 -}}
{{- $engine = merge $engine (dict "tensor_parallel_size" (int .Values.gpu.count)) -}}
{{- end -}}
{{- $_ := set $config "engine" $engine -}}
{{- if .Values.chatTemplate.text -}}
{{- if $config.chat_template -}}
{{- fail "chatTemplate.text, config.chat_template: give one of them" -}}
{{- end -}}
{{- $_ := set $config "chat_template" "/etc/cowabungaai/template.jinja" -}}
{{- end -}}
{{- $adapters := $config.adapters | default list -}}
{{- range (include "cowabungaai.models" (dict "root" .) | fromYaml).beside -}}
{{- $adapters = append $adapters (dict "id" .id "path" .folder) -}}
{{- end -}}
{{- $_ := set $config "adapters" $adapters -}}
{{- toYaml $config -}}
{{- end -}}
