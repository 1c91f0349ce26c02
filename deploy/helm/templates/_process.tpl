{{- define "reporting.labels" -}}
app.kubernetes.io/name: {{ .root.Chart.Name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "reporting.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{- define "reporting.podSecurity" -}}
automountServiceAccountToken: false
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "reporting.containerSecurity" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- end }}

{{/* What every container of the image has: the settings in plain, the secret ones from their Secret. */}}
{{- define "reporting.container" -}}
image: {{ include "reporting.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
{{ include "reporting.containerSecurity" . }}
envFrom:
  - secretRef: {name: {{ .Values.secretName }}}
env:
  {{- range $name, $value := .Values.settings }}
  - {name: {{ $name }}, value: {{ $value | quote }}}
  {{- end }}
volumeMounts:
  - {name: tmp, mountPath: /tmp}
  - {name: home, mountPath: /var/lib/reporting}
{{- end }}

{{/* With Dagster's instance and workspace; a mount follows `reporting.container`'s own. */}}
{{- define "reporting.dagsterMount" -}}
- {name: dagster, mountPath: /opt/dagster, readOnly: true}
{{- end }}

{{- define "reporting.volumes" -}}
- {name: tmp, emptyDir: {sizeLimit: 1Gi}}
- {name: home, emptyDir: {sizeLimit: 2Gi}}
{{- end }}

{{- define "reporting.dagsterVolume" -}}
- name: dagster
  configMap: {name: {{ .Release.Name }}-dagster}
{{- end }}

{{/* A change of Dagster's instance restarts who reads it. */}}
{{- define "reporting.dagsterChecksum" -}}
checksum/dagster: {{ .Files.Get "files/dagster.yaml" | sha256sum }}
{{- end }}
