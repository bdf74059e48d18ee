package main

import "strings"

// kind panics with malformed unless a value is what it has to be.
type kind func(value any)

func aText(value any)   { as[string](value) }
func aNumber(value any) { whole(value) }
func aFlag(value any)   { as[bool](value) }
func hexText(value any) { unhex(as[string](value)) }
func anything(any)      {}

// orNull is a kind that may be absent.
func orNull(of kind) kind {
	return func(value any) {
		if value != nil {
			of(value)
		}
	}
}

// many is a list.
func many(of kind) kind {
	return func(value any) {
		for _, each := range as[[]any](value) {
			of(each)
		}
	}
}

// anyNamed is an object with any names.
func anyNamed(of kind) kind {
	return func(value any) {
		for _, each := range as[map[string]any](value) {
			of(each)
		}
	}
}

// members is an object with exactly these.
type members map[string]kind

func (m members) check(value any) {
	found := as[map[string]any](value)
	for name, of := range m {
		each, isThere := found[name]
		if !isThere {
			panic(malformed("it has no " + name))
		}
		of(each)
	}
	if len(found) != len(m) {
		panic(malformed("it has more members than those of its kind"))
	}
}

// and is the same with more members of a kind.
func (m members) and(of kind, names string) members {
	found := members{}
	for name, each := range m {
		found[name] = each
	}
	for _, name := range strings.Fields(names) {
		found[name] = of
	}
	return found
}

func texts(names string) members { return members{}.and(aText, names) }

func anyPayload(value any) {
	content := "binary"
	if _, isJSON := as[map[string]any](value)["json"]; isJSON {
		content = "json"
	}
	texts("content_type " + content).check(value)
}

var (
	usageKind = members{}.and(aNumber, strings.Join(usageNames, " "))
	pinKind   = texts("kind name digest").and(aNumber, "version")
	partKind  = texts("kind content_type").and(hexText, "sha256")
	eventKind = texts("event_id type node_id model tool trace_parent").
			and(aNumber, "seq recorded_at").
			and(orNull(usageKind.check), "usage").
			and(orNull(aNumber), "occurred_at").
			and(hexText, "hash")
	// Whether the event has no salt.
	eventKinds = map[bool]members{
		true: eventKind.and(hexText, "body"), false: eventKind.and(hexText, "sealed"),
	}
	sealedEventKind = texts("actor").
			and(aNumber, "seq").
			and(orNull(hexText), "salt").
			and(orNull(anyPayload), "payload").
			and(many(aText), "tags subjects")
	erasedEventKind = members{}.and(aNumber, "seq erased_at")
	runKind         = texts("project run_id plan_id parent_run_id").
			and(orNull(texts("system id").and(aFlag, "owns_status").check), "external_ref").
			and(orNull(texts("run_id").and(aNumber, "seq").check), "fork_base").
			and(many(pinKind.check), "config_refs").
			and(aNumber, "created_at").
			and(hexText, "birth")
	sealedRunKind = texts("run_id objective external_url").
			and(orNull(hexText), "salt").
			and(orNull(anyPayload), "plan").
			and(many(aText), "tags subjects").
			and(anyNamed(aText), "labels")
	nodeKind = texts("node_id kind status").
			and(many(aText), "facets").
			and(orNull(partKind.check), strings.Join(nodeParts, " "))
	snapshotKind = texts("run_id namespace snapshot_id parent_snapshot_id plan_version_id").
			and(aNumber, "seq reason created_at").
			and(many(nodeKind.check), "nodes").
			and(anyNamed(partKind.check), "state").
			and(many(aText), "pending_node_ids").
			and(orNull(anyPayload), "metadata").
			and(orNull(hexText), "salt").
			and(hexText, "content_hash")
	taskWriteKind = texts("run_id namespace snapshot_id task_id channel").
			and(aNumber, "index").
			and(orNull(anyPayload), "payload").
			and(orNull(aNumber), "seq written_at").
			and(orNull(hexText), "salt").
			and(hexText, "body_hash")
	outputKind = texts("outcome schema_hash plan_version_id").
			and(aNumber, "revision completed_at").
			and(orNull(anyPayload), "payload provenance statistics").
			and(usageKind.check, "usage").
			and(orNull(hexText), "salt").
			and(hexText, "body_hash")
	artifactKind = texts("artifact_id name type content_type url actor").
			and(aNumber, "version created_at").
			and(hexText, "sha256").
			and(orNull(aNumber), "size").
			and(orNull(anyPayload), "metadata")
	configKind = pinKind.
			and(anyPayload, "body").
			and(aText, "description actor").
			and(orNull(anyPayload), "metadata").
			and(aNumber, "created_at")
	requestKind = texts("request_id").
			and(orNull(hexText), "salt").
			and(hexText, "body_hash").
			and(anyNamed(anything), "answer")
	headKind = texts("status outcome").
			and(aNumber, "last_seq writer_epoch created_at updated_at").
			and(hexText, "last_hash").
			and(usageKind.check, "usage").
			and(orNull(aNumber), "completed_at")
	lineageKind = texts("run_id").
			and(hexText, "birth").
			and(aNumber, "last_seq").
			and(aFlag, "has_events")
	placedByKind = texts("kind id issuer")
	holdKind     = texts("hold_id reason").
			and(aFlag, "names_run").
			and(placedByKind.check, "placed_by").
			and(aNumber, "placed_at")
	fileKind = texts("name").
			and(hexText, "sha256").
			and(aNumber, "bytes").
			and(orNull(aNumber), "rows")
	manifestKind = texts("format project run_id").
			and(aNumber, "version").
			and(anyNamed(aText), "origin").
			and(headKind.check, "head").
			and(many(lineageKind.check), "lineage").
			and(many(pinKind.check), "configs").
			and(many(holdKind.check), "holds").
			and(many(fileKind.check), "files").
			and(hexText, "sha256")
	finalKind = texts("namespace snapshot_id").and(hexText, "content_hash")
)
