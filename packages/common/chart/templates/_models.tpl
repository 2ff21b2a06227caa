{{/* SPDX-License-Identifier: Apache-2.0 */}}
{{/*
Models of a service: images that hold /model and /copy, a program that copies a model and checks every file. Argument: root,
part. A copied model has a folder below /models, one for each reference of an image: pods that share a claim find their own
models there, also while a new version takes over. With `delivery: volume` the image itself is mounted, below /images.
*/}}

{{/* As YAML, under `served` and `beside`: {image, delivery, folder, volume, id}. */}}
{{- define "cowabungaai.models" -}}
{{- $served := list -}}
{{- $beside := list -}}
{{- if hasKey .root.Values "model" -}}
{{- $first := .root.Values.model -}}
{{- if $first.image -}}{{- $served = append $served $first -}}{{- end -}}
{{- $served = concat $served (.root.Values.models | default list) -}}
{{- $beside = .root.Values.adapters | default list -}}
{{- if not $served -}}
{{- fail "model.image: give the reference of a model's image, as `package` makes it; see charts.md" -}}
{{- end -}}
{{- end -}}
{{- $number := 0 -}}
{{- $ids := dict -}}
{{- range $key, $models := dict "served" $served "beside" $beside }}
{{ $key }}:
  {{- range $models }}
  {{- $id := .id | default (printf "model-%d" $number) }}
  {{- if hasKey $ids $id }}
  {{- fail (printf "models: two have the id %q" $id) }}
  {{- end }}
  {{- $_ := set $ids $id true }}
  - image: {{ .image | quote }}
    {{- $delivery := .delivery | default $.root.Values.model.delivery }}
    delivery: {{ $delivery }}
    {{- $copy := printf "/models/%s-%s" (regexReplaceAll "[:@].*" (base .image) "") (sha256sum .image | trunc 12) }}
    folder: {{ ternary $copy (printf "/images/%s" $id) (eq $delivery "copy") | quote }}
    volume: model-{{ $number }}
    id: {{ .id | default "" | quote }}
  {{- $number = add1 $number }}
  {{- end }}
{{- end }}
{{- end -}}

{{/* What the service is told: the first is its default. Without an id a model has that of its manifest. */}}
{{- define "cowabungaai.modelPaths" -}}
{{- $paths := list -}}
{{- range (include "cowabungaai.models" . | fromYaml).served -}}
{{- $paths = append $paths (ternary (printf "%s=%s" .id .folder) .folder (ne .id "")) -}}
{{- end -}}
{{- join "," $paths -}}
{{- end -}}

{{- define "cowabungaai.allModels" -}}
{{- $models := include "cowabungaai.models" . | fromYaml -}}
{{- toYaml (concat ($models.served | default list) ($models.beside | default list)) -}}
{{- end -}}

{{- define "cowabungaai.modelCopies" -}}
{{- range include "cowabungaai.allModels" . | fromYamlArray }}
{{- if eq .delivery "copy" }}
- name: {{ .volume }}
  image: {{ .image | quote }}
  command: [/copy]
  args: [/model, {{ .folder | quote }}]
  volumeMounts:
    - name: models
      mountPath: /models
  securityContext:
    {{- include "cowabungaai.containerSecurity" $ | nindent 4 }}
  resources:
    requests: {cpu: 50m, memory: 64Mi}
    limits: {cpu: "1", memory: 256Mi}
{{- end }}
{{- end }}
{{- end -}}

{{- define "cowabungaai.modelMounts" -}}
{{- $copied := false -}}
{{- range include "cowabungaai.allModels" . | fromYamlArray }}
{{- if eq .delivery "copy" -}}
{{- $copied = true -}}
{{- else }}
- name: {{ .volume }}
  mountPath: {{ .folder | quote }}
  subPath: model
  readOnly: true
{{- end }}
{{- end }}
{{- if $copied }}
- name: models
  mountPath: /models
  readOnly: true
{{- end }}
{{- end -}}

{{- define "cowabungaai.modelVolumes" -}}
{{- $copied := false -}}
{{- range include "cowabungaai.allModels" . | fromYamlArray }}
{{- if eq .delivery "copy" -}}
{{- $copied = true -}}
{{- else }}
- name: {{ .volume }}
  image:
    reference: {{ .image | quote }}
    pullPolicy: IfNotPresent
{{- end }}
{{- end }}
{{- if $copied }}
- name: models
  {{- with .root.Values.modelVolume.claimName }}
  persistentVolumeClaim:
    claimName: {{ . | quote }}
  {{- else }}
  emptyDir:
    sizeLimit: {{ .root.Values.modelVolume.size }}
  {{- end }}
{{- end }}
{{- end -}}
