{{- define "runstore.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 52 | trimSuffix "-" -}}
{{- end -}}

{{- /* Leaves room for -headless and -migrate within the 63 characters of a name. */ -}}
{{- define "runstore.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- $name := include "runstore.name" . -}}
{{- ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "runstore.selector" -}}
app.kubernetes.io/name: {{ include "runstore.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "runstore.labels" -}}
{{ include "runstore.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "runstore.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ default .Chart.AppVersion .Values.image.tag }}
{{- end -}}
{{- end -}}

{{- define "runstore.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{ default (include "runstore.fullname" .) .Values.serviceAccount.name }}
{{- else -}}
{{ default "default" .Values.serviceAccount.name }}
{{- end -}}
{{- end -}}

{{- define "runstore.databaseSecret" -}}
{{- if .Values.database.existingSecret -}}
{{ .Values.database.existingSecret }}
{{- else if .Values.database.url -}}
{{ include "runstore.fullname" . }}-database
{{- else -}}
{{ fail "set database.existingSecret (a Secret with the database's URL) or, to try out, database.url" }}
{{- end -}}
{{- end -}}

{{- define "runstore.environment" -}}
- name: RUNSTORE_DATABASE_URL
  valueFrom:
    secretKeyRef:
      name: {{ include "runstore.databaseSecret" . }}
      key: {{ ternary .Values.database.key "url" (not (empty .Values.database.existingSecret)) }}
- name: RUNSTORE_DB_SCHEMA
  value: {{ .Values.database.schema | quote }}
- name: RUNSTORE_DRAIN_SECONDS
  value: {{ toJson .Values.drainSeconds | quote }}
{{- range $name, $value := .Values.settings }}
- name: RUNSTORE_{{ $name | upper }}
  # As JSON, because YAML would write a large number with an exponent.
  value: {{ ternary $value (toJson $value) (kindIs "string" $value) | quote }}
{{- end }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- /* For migrations alone: servers have no need of the owner's login. */ -}}
{{- define "runstore.ownerEnvironment" -}}
{{- if .Values.database.ownerKey -}}
{{- if not .Values.database.existingSecret -}}
{{ fail "database.ownerKey is a key of database.existingSecret: set both" }}
{{- end -}}
- name: RUNSTORE_DATABASE_OWNER_URL
  valueFrom:
    secretKeyRef:
      name: {{ .Values.database.existingSecret }}
      key: {{ .Values.database.ownerKey }}
{{- end -}}
{{- end -}}

{{- define "runstore.hasAuth" -}}
{{- if eq "required" (default "off" .Values.settings.auth) -}}
true
{{- end -}}
{{- end -}}

{{/* Whether probes and metrics have a port of their own. */}}
{{- define "runstore.hasOps" -}}
{{- if or (include "runstore.hasTls" .) (include "runstore.hasAuth" .) -}}
true
{{- end -}}
{{- end -}}

{{- define "runstore.refuseExposure" -}}
{{- if not (or .Values.allowInsecure (and (include "runstore.hasTls" .) (include "runstore.hasAuth" .))) -}}
{{ fail "set tls.existingSecret and settings.auth=required, or allowInsecure=true where a mesh or a proxy sees to both" }}
{{- end -}}
{{- end -}}

{{- define "runstore.hasTls" -}}
{{- if .Values.tls.existingSecret -}}
true
{{- else if .Values.tls.clientCaSecret -}}
{{ fail "tls.clientCaSecret needs tls.existingSecret" }}
{{- end -}}
{{- end -}}

{{- define "runstore.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "runstore.securityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{- /* drainSeconds twice: once for calls in flight, once for the relay's last round. */ -}}
{{- define "runstore.gracePeriod" -}}
{{- add (ceil .Values.preStopSeconds) (mul 2 (ceil .Values.drainSeconds)) 5 -}}
{{- end -}}
