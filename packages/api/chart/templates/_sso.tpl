{{/* SPDX-License-Identifier: Apache-2.0 */}}
{{/* Tokens of the UDS cluster's Keycloak in place of API keys. Argument: root. */}}

{{/* The clients that the operator makes: one for programs, which has a secret, and one for people at a terminal. */}}
{{- define "api.sso" -}}
{{- $sso := .Values.sso -}}
sso:
  {{- if $sso.enabled }}
  - name: CowabungaAI, programs
    clientId: {{ $sso.clientId | quote }}
    standardFlowEnabled: false
    serviceAccountsEnabled: true
    secretConfig: {name: {{ include "cowabungaai.name" . }}-sso}
    protocolMappers:
      {{- include "api.audience" $sso | nindent 6 }}
  - name: CowabungaAI, people
    clientId: {{ printf "%s-device" $sso.clientId | quote }}
    standardFlowEnabled: false
    publicClient: true
    attributes: {oauth2.device.authorization.grant.enabled: "true"}
    protocolMappers:
      {{- include "api.audience" $sso | nindent 6 }}
    {{- with $sso.groups }}
    groups: {anyOf: {{ toJson . }}}
    {{- end }}
  {{- else }} []
  {{- end }}
{{- end -}}

{{/* Tokens say whom they are for, so that those for other applications are refused. */}}
{{- define "api.audience" -}}
- name: audience
  protocol: openid-connect
  protocolMapper: oidc-audience-mapper
  config:
    included.client.audience: {{ .clientId | quote }}
    access.token.claim: "true"
    introspection.token.claim: "true"
    id.token.claim: "false"
    lightweight.claim: "false"
    userinfo.token.claim: "false"
{{- end -}}

{{- define "api.auth" -}}
{{- $auth := deepCopy .Values.auth -}}
{{- $sso := .Values.sso -}}
{{- if $sso.enabled -}}
{{- $issuer := printf "https://sso.%s/realms/uds" $sso.domain -}}
{{- $keys := "http://keycloak-http.keycloak.svc.cluster.local:8080/realms/uds/protocol/openid-connect/certs" -}}
{{- $given := dict "issuer" $issuer "audience" $sso.clientId "algorithms" (list "RS256") "jwks_url" $keys -}}
{{- $entry := merge (deepCopy $sso.issuer) $given -}}
{{- $_ := set $auth "jwt" (append ($auth.jwt | default list) $entry) -}}
{{- end -}}
{{- toYaml $auth -}}
{{- end -}}
