package main

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"strconv"
)

// canonical is the canonical text of fields: strings, bytes and whole numbers.
func canonical(fields ...any) []byte {
	var text []byte
	for _, each := range fields {
		var data []byte
		switch value := each.(type) {
		case string:
			data = []byte(value)
		case []byte:
			data = value
		case int64:
			data = strconv.AppendInt(nil, value, 10)
		default:
			panic(malformed("it has a field of another type"))
		}
		text = binary.BigEndian.AppendUint64(text, uint64(len(data)))
		text = append(text, data...)
	}
	return text
}

func digest(fields ...any) []byte {
	hash := sha256.Sum256(canonical(fields...))
	return hash[:]
}

func list(texts []string) []byte {
	var fields []any
	for _, each := range texts {
		fields = append(fields, each)
	}
	return canonical(fields...)
}

// content is the kind of a payload, and its bytes.
func content(payload row) (string, []byte) {
	if _, isJSON := payload["json"]; isJSON {
		return "json", []byte(payload.text("json"))
	}
	data, err := base64.StdEncoding.Strict().DecodeString(payload.text("binary"))
	if err != nil || base64.StdEncoding.EncodeToString(data) != payload.text("binary") {
		panic(malformed("a payload is not base64"))
	}
	return "binary", data
}

func payloadField(payload row) []byte {
	if payload == nil {
		return nil
	}
	kind, data := content(payload)
	return canonical(kind, payload.text("content_type"), data)
}

var usageNames = []string{
	"input_tokens", "output_tokens", "cached_input_tokens", "cost_micros", "duration_us",
}

func usageField(usage row) []byte {
	if usage == nil {
		return nil
	}
	var fields []any
	for _, name := range usageNames {
		fields = append(fields, usage.number(name))
	}
	return canonical(fields...)
}

// timeField is a time, or the empty field for none.
func timeField(of row, name string) any {
	if of.isNull(name) {
		return []byte(nil)
	}
	return of.number(name)
}

func pinsField(refs []row) []byte {
	var pins []any
	for _, ref := range refs {
		pins = append(pins, canonical(
			ref.text("kind"), ref.text("name"), ref.number("version"), ref.text("digest"),
		))
	}
	return canonical(pins...)
}

// salted is what is kept of a hash beside the salt of a row.
func salted(of row, hash []byte) string {
	if salt := of.salt(); salt != nil {
		hash = digest("salted", salt, hash)
	}
	return hex.EncodeToString(hash)
}

// withSubjects adds version 1's last field, where there are any.
func withSubjects(fields []any, sealed row) []any {
	if subjects := sealed.texts("subjects"); len(subjects) > 0 {
		return append(fields, list(subjects))
	}
	return fields
}

// eventBody is the kind of hash that an event has of its content, that hash, and that of the fact.
func eventBody(event, sealed row) (kind string, of, body []byte) {
	payload, tags := payloadField(sealed.object("payload")), list(sealed.texts("tags"))
	usage, occurred := usageField(event.object("usage")), timeField(event, "occurred_at")
	salt := sealed.salt()
	if salt == nil {
		body = digest(withSubjects([]any{
			"event", event.text("event_id"), event.text("type"), payload, event.text("node_id"),
			sealed.text("actor"), event.text("model"), event.text("tool"), tags, usage,
			event.text("trace_parent"), occurred,
		}, sealed)...)
		return "body", body, body
	}
	of = digest(
		"sealed", salt, payload, sealed.text("actor"), tags, list(sealed.texts("subjects")),
	)
	return "sealed", of, openBody(event, of)
}

// openBody is the hash of an event, given that of what is sealed of it.
func openBody(event row, of []byte) []byte {
	usage, occurred := usageField(event.object("usage")), timeField(event, "occurred_at")
	return digest(
		"event/2", event.text("event_id"), event.text("type"), event.text("node_id"),
		event.text("model"), event.text("tool"), usage, event.text("trace_parent"), occurred, of,
	)
}

// erasedBody is the hash of an event whose content was erased; without a salt it can only be believed.
func erasedBody(event row) []byte {
	if _, isOfVersion1 := event["body"]; isOfVersion1 {
		return unhex(event.text("body"))
	}
	return openBody(event, unhex(event.text("sealed")))
}

// birth is the hash of a run as it was born, and that of what may be erased of it, nil without a salt.
func birth(run, sealed row) (hash, of []byte) {
	ref, base, salt := run.object("external_ref"), run.object("fork_base"), sealed.salt()
	plan, tags := payloadField(sealed.object("plan")), list(sealed.texts("tags"))
	labels := sealed.object("labels")
	var pairs []any
	for _, name := range labels.names() {
		pairs = append(pairs, canonical(name, labels.text(name)))
	}
	pins, url := pinsField(run.objects("config_refs")), sealed.text("external_url")
	var end []any
	if base != nil {
		end = []any{base.text("run_id"), base.number("seq")}
	}
	system, id, owns := "", "", int64(0)
	if ref != nil {
		system, id = ref.text("system"), ref.text("id")
		if ref.flag("owns_status") {
			owns = 1
		}
	}
	if salt == nil {
		var external []byte
		if ref != nil {
			external = canonical(system, id, url, owns)
		}
		fields := []any{
			"run", run.text("project"), run.text("run_id"), run.text("plan_id"),
			sealed.text("objective"), plan, run.text("parent_run_id"), external, pins, tags,
			canonical(pairs...),
		}
		return digest(withSubjects(append(fields, end...), sealed)...), nil
	}
	of = digest(
		"sealed-run", salt, sealed.text("objective"), plan, tags, canonical(pairs...), url,
		list(sealed.texts("subjects")),
	)
	if owns == 1 {
		end = append(end, "owns_status")
	}
	return digest(append([]any{
		"run/2", run.text("project"), run.text("run_id"), run.text("plan_id"),
		run.text("parent_run_id"), system, id, pins, of,
	}, end...)...), of
}

var nodeParts = []string{"input_schema", "output_schema", "provenance", "state"}

// snapshotHash is the hash of a snapshot without its salt, and the names of its parts.
func snapshotHash(of row) (hash []byte, parts []string) {
	part := func(entry row) []byte {
		if entry == nil {
			return nil
		}
		parts = append(parts, entry.text("sha256"))
		return unhex(entry.text("sha256"))
	}
	var nodes, state []any
	for _, node := range of.objects("nodes") {
		fields := []any{
			node.text("node_id"), node.text("kind"), list(node.texts("facets")), node.text("status"),
		}
		for _, name := range nodeParts {
			fields = append(fields, part(node.object(name)))
		}
		nodes = append(nodes, canonical(fields...))
	}
	states := of.object("state")
	for _, name := range states.names() {
		state = append(state, canonical(name, part(states.object(name))))
	}
	return digest(
		"snapshot", of.text("namespace"), of.text("snapshot_id"), of.text("parent_snapshot_id"),
		of.number("seq"), of.text("plan_version_id"), of.number("reason"), canonical(nodes...),
		list(of.texts("pending_node_ids")), canonical(state...), payloadField(of.object("metadata")),
	), parts
}
