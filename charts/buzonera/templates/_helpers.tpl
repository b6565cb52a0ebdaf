{{- define "buzonera.name" -}}
{{- printf "%s-operator" .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- /* Two releases may have the same name in two namespaces, and this is in none. */ -}}
{{- define "buzonera.ends" -}}
{{- printf "%s-%s-ends" .Release.Namespace (include "buzonera.name" .) -}}
{{- end -}}

{{- define "buzonera.selector" -}}
app.kubernetes.io/name: buzonera-operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "buzonera.labels" -}}
{{ include "buzonera.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{- define "buzonera.everywhere" -}}
{{- if has "*" .Values.watchNamespaces }}yes{{ end -}}
{{- end -}}

{{- /* What the operator may do: the same list for one namespace and for all. It may delete no
volume, sees no node, and runs nothing in pods. */ -}}
{{- define "buzonera.rules" -}}
- apiGroups: [buzonera.dev]
  resources: [mailclusters]
  verbs: [get, list, watch]
- apiGroups: [buzonera.dev]
  resources: [mailclusters/status, mailboxshards/status]
  verbs: [patch]
- apiGroups: [buzonera.dev]
  resources: [mailboxshards]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [apps]
  resources: [statefulsets]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [services, configmaps, secrets]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [persistentvolumeclaims]
  verbs: [get, list, watch, create, patch]
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list, watch, delete]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [list, create, patch]
{{- end -}}
