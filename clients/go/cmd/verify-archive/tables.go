package main

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
)

func (v *verifying) checkSnapshots() error {
	runs, seen, parts := v.runs(), map[string]bool{}, map[string]bool{}
	final := ""
	var recorded row
	if v.ended != nil && !v.ended.isNull("final_snapshot") {
		recorded = v.ended.object("final_snapshot")
		recorded.of(finalKind)
		final = keyOf(v.manifest.text("run_id"), recorded.text("namespace"), recorded.text("snapshot_id"))
	}
	err := v.table("snapshots", snapshotKind,
		func(where string, of row) {
			hash, names := snapshotHash(of)
			if salted(of, hash) != of.text("content_hash") {
				v.problem("%s does not match its hash", where)
			}
			for _, name := range names {
				parts["parts/"+name+".gz"] = true
				if _, isThere := v.rows["parts/"+name+".gz"]; !isThere {
					v.problem("%s has a part that is missing: %s", where, name)
				}
			}
			if !runs[of.text("run_id")] || of.number("seq") > v.head.number("last_seq") {
				v.problem("%s is not of the run's history", where)
			}
			key := keyOf(of.text("run_id"), of.text("namespace"), of.text("snapshot_id"))
			if seen[key] {
				v.problem("%s is there twice", where)
			}
			seen[key] = true
			if key == final && of.text("content_hash") != recorded.text("content_hash") {
				v.problem("the final snapshot is not what the terminal event records")
			}
		})
	v.unnamed("parts/", parts)
	return err
}

// runs are those of the history.
func (v *verifying) runs() map[string]bool {
	found := map[string]bool{}
	for _, each := range v.manifest.objects("lineage") {
		found[each.text("run_id")] = true
	}
	return found
}

func keyOf(texts ...string) string { return string(list(texts)) }

// unnamed notes the files of a folder that no row names.
func (v *verifying) unnamed(folder string, named map[string]bool) {
	for name := range v.rows {
		if strings.HasPrefix(name, folder) && !named[name] {
			v.problem("no row names %s", name)
		}
	}
}

func (v *verifying) checkTaskWrites() error {
	runs, seen := v.runs(), map[string]bool{}
	return v.table("task_writes", taskWriteKind,
		func(where string, of row) {
			if !runs[of.text("run_id")] {
				v.problem("%s is not of the run's history", where)
			}
			key := keyOf(
				of.text("run_id"), of.text("namespace"), of.text("snapshot_id"), of.text("task_id"),
				strconv.FormatInt(of.number("index"), 10),
			)
			if seen[key] {
				v.problem("%s is there twice", where)
			}
			seen[key] = true
			hash := digest("task_write", of.text("channel"), payloadField(of.object("payload")))
			if salted(of, hash) != of.text("body_hash") {
				v.problem("%s does not match its hash", where)
			}
		})
}

func (v *verifying) checkOutputs() error {
	revision := int64(0)
	err := v.table("outputs", outputKind,
		func(where string, of row) {
			revision++
			if of.number("revision") != revision {
				v.problem("%s is not revision %d", where, revision)
			}
			if usageOf(of.object("usage")) != usageOf(v.head.object("usage")) {
				v.problem("%s does not have the usage that the head has", where)
			}
			if v.ended != nil && v.ended.number("output_revision") == revision {
				v.checkEnded(where, of)
			}
		})
	if v.ended != nil && v.ended.number("output_revision") > revision {
		v.problem("the output that the terminal event records is missing")
	}
	return err
}

func (v *verifying) checkEnded(where string, of row) {
	hash := digest(
		"output", payloadField(of.object("payload")), of.text("schema_hash"),
		of.text("plan_version_id"), payloadField(of.object("provenance")),
		payloadField(of.object("statistics")),
	)
	isSame := of.text("outcome") == v.ended.text("outcome")
	if !v.ended.isNull("output_sealed") { // a terminal event of version 1 says nothing of it
		isSame = isSame && salted(of, hash) == v.ended.text("output_sealed")
	}
	if !isSame {
		v.problem("%s is not what the terminal event records", where)
	}
}

func (v *verifying) checkArtifacts() error {
	objects := map[string]bool{}
	err := v.table("artifacts", artifactKind,
		func(where string, of row) {
			if of.text("url") != "" {
				return
			}
			name := "objects/" + of.text("sha256")
			objects[name] = true
			if _, isThere := v.rows[name]; !isThere {
				v.problem("the bytes of %s are missing: %s", where, name)
			} else if v.files.found[name].size != of.number("size") {
				v.problem("the bytes of %s are not as many as it says", where)
			}
		})
	v.unnamed("objects/", objects)
	return err
}

func pinName(of row) string {
	return fmt.Sprintf(
		"%q %q %d %q", of.text("kind"), of.text("name"), of.number("version"), of.text("digest"),
	)
}

func (v *verifying) checkConfigs() error {
	said := map[string]bool{}
	for _, pin := range v.manifest.objects("configs") {
		name := pinName(pin)
		if said[name] || !v.pins[name] {
			v.problem("the manifest's configs are not those that the runs are pinned to")
		}
		said[name] = true
	}
	if len(said) != len(v.pins) {
		v.problem("the manifest's configs are not those that the runs are pinned to")
	}
	return v.table("configs", configKind,
		func(where string, of row) {
			kind, data := content(of.object("body"))
			found := digest("config", kind, of.object("body").text("content_type"), data)
			if "sha256:"+hex.EncodeToString(found) != of.text("digest") {
				v.problem("%s does not match its digest", where)
			}
			if !v.pins[pinName(of)] {
				v.problem("%s is of a config that no run is pinned to", where)
			}
		})
}

func (v *verifying) checkRequests() error {
	seen := map[string]bool{}
	return v.table("requests", requestKind, func(where string, of row) {
		if seen[of.text("request_id")] {
			v.problem("%s is there twice", where)
		}
		seen[of.text("request_id")] = true
	})
}
