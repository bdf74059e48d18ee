package runstore

import (
	"encoding/hex"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	runstorev1 "github.com/runstore/runstore/clients/go/v1"
)

// mostShown is how many bytes of a text are printed within another value.
const mostShown = 200

// described is how a struct prints: the fields that are set, by their names.
func described(value any) string {
	of := reflect.ValueOf(value)
	var fields []string
	for place := range of.NumField() {
		field := of.Type().Field(place)
		if field.IsExported() && !of.Field(place).IsZero() {
			fields = append(fields, field.Name+": "+shown(of.Field(place)))
		}
	}
	return of.Type().Name() + "{" + strings.Join(fields, ", ") + "}"
}

// shown is how the value of a field prints.
func shown(value reflect.Value) string {
	switch known := value.Interface().(type) {
	case []byte:
		return hex.EncodeToString(known)
	case time.Time:
		return known.Format(time.RFC3339Nano)
	case Payload:
		return cut(known.String())
	case fmt.Stringer:
		return known.String()
	}
	switch value.Kind() {
	case reflect.String:
		return strconv.Quote(cut(value.String()))
	case reflect.Pointer:
		return shown(value.Elem())
	case reflect.Struct:
		return described(value.Interface())
	case reflect.Slice:
		items := make([]string, value.Len())
		for place := range items {
			items[place] = shown(value.Index(place))
		}
		return "[" + strings.Join(items, ", ") + "]"
	case reflect.Map:
		var items []string
		for _, key := range value.MapKeys() {
			items = append(items, shown(key)+": "+shown(value.MapIndex(key)))
		}
		slices.Sort(items)
		return "{" + strings.Join(items, ", ") + "}"
	}
	return fmt.Sprint(value.Interface())
}

// cut returns the beginning of a long text.
func cut(text string) string {
	if len(text) <= mostShown {
		return text
	}
	end := mostShown
	for !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + "…"
}

// String returns the JSON text, or says what else the payload is.
func (p Payload) String() string {
	switch {
	case p.err != nil:
		return fmt.Sprintf("no payload: %v", p.err)
	case p.kind == jsonPayload:
		return p.content
	case p.kind == refPayload:
		return "the part with the SHA-256 " + hex.EncodeToString(p.Bytes())
	case p.kind == binaryPayload && p.contentType != "":
		return fmt.Sprintf("%d bytes of %s", len(p.content), p.contentType)
	case p.kind == binaryPayload:
		return fmt.Sprintf("%d bytes", len(p.content))
	}
	return "no payload"
}

// String names the version that is selected.
func (s VersionSelector) String() string {
	var request runstorev1.GetVersionRequest
	if s.choose == nil {
		return "latest version"
	}
	s.choose(&request)
	switch which := request.Selector.(type) {
	case *runstorev1.GetVersionRequest_Version:
		return fmt.Sprintf("version %d", which.Version)
	case *runstorev1.GetVersionRequest_Digest:
		return "version " + which.Digest
	}
	return fmt.Sprintf("version of label %q", request.GetLabel())
}

// String names the snapshot that is selected.
func (s SnapshotSelector) String() string {
	var request runstorev1.GetSnapshotRequest
	which := "latest snapshot"
	if s.choose != nil {
		s.choose(&request)
	}
	switch by := request.Selector.(type) {
	case *runstorev1.GetSnapshotRequest_SnapshotId:
		which = fmt.Sprintf("snapshot %q", by.SnapshotId)
	case *runstorev1.GetSnapshotRequest_PlanVersionId:
		which = fmt.Sprintf("latest snapshot of plan version %q", by.PlanVersionId)
	case *runstorev1.GetSnapshotRequest_AtSeq:
		which = fmt.Sprintf("latest snapshot at seq %d", by.AtSeq)
	}
	if s.namespace != "" {
		which += fmt.Sprintf(" in namespace %q", s.namespace)
	}
	return which
}

// String names the target and the project.
func (a *Admin) String() string { return "admin, " + a.client.String() }

// String names the target and the project.
func (c *Configs) String() string { return "configs, " + c.client.String() }

// String names the target and the project.
func (a *Artifacts) String() string { return "artifacts, " + a.client.String() }

// String names the target and the project.
func (f *Feed) String() string { return "feed, " + f.client.String() }

// String names the artifact.
func (d *Download) String() string { return "download of " + d.Artifact.String() }

// String names the target and the project, and counts the appends in flight.
func (a *Appender) String() string {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	return fmt.Sprintf("appender with %d appends in flight, %v", len(a.unanswered), a.client)
}

// String names the run, and tells the answer if there is one.
func (p *Pending) String() string {
	of := fmt.Sprintf("append to run %q", p.request.Append.RunId)
	select {
	case <-p.answered:
	default:
		return of + ", in flight"
	}
	if p.err != nil {
		return of + ": " + p.err.Error()
	}
	return of + ": " + p.appended.String()
}

// What callers give and get prints the fields that are set, by their names.

func (v Principal) String() string          { return described(v) }
func (v Caller) String() string             { return described(v) }
func (v Token) String() string              { return described(v) }
func (v CreateTokenOptions) String() string { return described(v) }
func (v ProjectLimits) String() string      { return described(v) }
func (v Limits) String() string             { return described(v) }
func (v RunSelection) String() string       { return described(v) }
func (v NewHold) String() string            { return described(v) }
func (v Hold) String() string               { return described(v) }
func (v Deletion) String() string           { return described(v) }
func (v Removal) String() string            { return described(v) }
func (v Policy) String() string             { return described(v) }
func (v RetentionSum) String() string       { return described(v) }
func (v RetentionPreview) String() string   { return described(v) }
func (v SeqRange) String() string           { return described(v) }
func (v EventErasure) String() string       { return described(v) }
func (v SubjectErasure) String() string     { return described(v) }
func (v ErasureBlocker) String() string     { return described(v) }
func (v Erasure) String() string            { return described(v) }
func (v Archiving) String() string          { return described(v) }
func (v Restoration) String() string        { return described(v) }
func (v Archive) String() string            { return described(v) }
func (v AdminRecord) String() string        { return described(v) }
func (v RecordVerification) String() string { return described(v) }
func (v Artifact) String() string           { return described(v) }
func (v ArtifactPut) String() string        { return described(v) }
func (v ArtifactOptions) String() string    { return described(v) }
func (v RegisterOptions) String() string    { return described(v) }
func (v RegisteredVersion) String() string  { return described(v) }
func (v ConfigVersion) String() string      { return described(v) }
func (v ConfigLabel) String() string        { return described(v) }
func (v Config) String() string             { return described(v) }
func (v LabelMove) String() string          { return described(v) }
func (v LabelOptions) String() string       { return described(v) }
func (v NewEvent) String() string           { return described(v) }
func (v Event) String() string              { return described(v) }
func (v Appended) String() string           { return described(v) }
func (v EventPage) String() string          { return described(v) }
func (v FeedEntry) String() string          { return described(v) }
func (v FeedPage) String() string           { return described(v) }
func (v Consumer) String() string           { return described(v) }
func (v NewOutput) String() string          { return described(v) }
func (v Completion) String() string         { return described(v) }
func (v Completed) String() string          { return described(v) }
func (v Output) String() string             { return described(v) }
func (v NewRun) String() string             { return described(v) }
func (v RunInfo) String() string            { return described(v) }
func (v ForkOptions) String() string        { return described(v) }
func (v RunsOptions) String() string        { return described(v) }
func (v ReplayOptions) String() string      { return described(v) }
func (v PinnedConfig) String() string       { return described(v) }
func (v Replayed) String() string           { return described(v) }
func (v Resumed) String() string            { return described(v) }
func (v Verification) String() string       { return described(v) }
func (v SearchOptions) String() string      { return described(v) }
func (v SearchHit) String() string          { return described(v) }
func (v PlanNode) String() string           { return described(v) }
func (v NewSnapshot) String() string        { return described(v) }
func (v Snapshot) String() string           { return described(v) }
func (v SnapshotPut) String() string        { return described(v) }
func (v SnapshotsOptions) String() string   { return described(v) }
func (v TaskWrite) String() string          { return described(v) }
func (v StatisticsOptions) String() string  { return described(v) }
func (v StatisticsRow) String() string      { return described(v) }
