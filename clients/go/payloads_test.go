package runstore_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/runstore/runstore/clients/go"
)

func everyByte() []byte {
	all := make([]byte, 768)
	for place := range all {
		all[place] = byte(place)
	}
	return all
}

var corpus = map[string]runstore.Payload{
	"key order":            runstore.JSON(`{"z":1,"a":2,"m":3}`),
	"duplicate keys":       runstore.JSON(`{"a":1,"a":2,"a":1}`),
	"white space":          runstore.JSON(" \t\r\n{ \"a\" :\n[ 1 , 2 ] } \n"),
	"number spellings":     runstore.JSON(`[1.0,1.00,1e2,1E+2,-0,-0.0,0.1e-7]`),
	"huge exponent":        runstore.JSON(`[1e400,-1e400,1e-400]`),
	"19 digits":            runstore.JSON(`[9223372036854775808,1234567890123456789,-9223372036854775809]`),
	"5000 digits":          runstore.JSON(strings.Repeat("9", 5000)),
	"escaped NUL":          runstore.JSON(`"\u0000"`),
	"escaped NUL in a key": runstore.JSON(`{"\u0000":"a\u0000b"}`),
	"lone surrogates":      runstore.JSON(`["\ud800","\udc00\ud800","\uD83D"]`),
	"escaped pair":         runstore.JSON(`"\ud83d\ude00 \/ \u00e9"`),
	"raw astral":           runstore.JSON("\"😀 é ü 漢字 \u2028\u2029\""),
	"empty object":         runstore.JSON(`{}`),
	"empty array":          runstore.JSON(`[]`),
	"null":                 runstore.JSON(`null`),
	"scalar":               runstore.JSON(`true`),
	"512 levels":           runstore.JSON(strings.Repeat("[", 512) + strings.Repeat("]", 512)),
	"10 MB string":         runstore.JSON(`"` + strings.Repeat("x", 10<<20) + `"`),
	"every byte":           runstore.Binary(everyByte(), "application/octet-stream"),
	"empty bytes":          runstore.Binary(nil, ""),
	"JSON as bytes":        runstore.Binary([]byte(`{"a": not json`), "application/json"),
	"JSON with a type":     runstore.JSON("1.0").WithContentType("application/json; charset=utf-8"),
	"raw message":          runstore.JSONOf(json.RawMessage(` {"b" : 1.0, "b":2}`)),
}

func TestAPayloadComesBackAsItWasSent(t *testing.T) {
	for name, payload := range corpus {
		t.Run(name, func(t *testing.T) {
			for place, found := range wayAround(t, payload) {
				if found != payload {
					t.Errorf("%s: got %.100q, want %.100q", place, found.Text(), payload.Text())
				}
			}
		})
	}
}

// wayAround writes a payload wherever one can stand, and reads it back.
func wayAround(t *testing.T, payload runstore.Payload) map[string]runstore.Payload {
	t.Helper()
	ctx, found := t.Context(), map[string]runstore.Payload{}
	run, err := dial(t).SaveRun(ctx, runstore.NewRun{Plan: payload})
	require(t, err)
	_, err = run.Append(ctx, runstore.NewEvent{Type: "t", Payload: payload})
	require(t, err)
	for _, snapshot := range []runstore.NewSnapshot{
		{SnapshotID: "1", Nodes: []runstore.PlanNode{{NodeID: "n", State: payload}}},
		{SnapshotID: "2", State: map[string]runstore.Payload{"part": payload}},
	} {
		_, err = run.PutSnapshot(ctx, snapshot)
		require(t, err)
		_, err = run.PutTaskWrites(ctx, runstore.TaskWrite{
			SnapshotID: snapshot.SnapshotID, TaskID: "t", Payload: payload,
		})
		require(t, err)
	}
	for _, output := range []runstore.NewOutput{
		{Payload: payload}, {Provenance: payload}, {Statistics: payload},
	} {
		_, err = run.Complete(ctx, runstore.Completion{
			Outcome: runstore.OutcomeSucceeded, Output: output,
		})
		require(t, err)
	}

	info, err := run.Get(ctx)
	require(t, err)
	found["plan"] = info.Plan
	found["listed"] = first(t, run.ListEvents(ctx, runstore.ListEventsOptions{})).Payload
	found["streamed"] = first(t, run.Events(ctx, runstore.EventsOptions{})).Payload
	node, err := run.GetSnapshot(ctx, runstore.SnapshotByID("1"))
	require(t, err)
	found["node"] = node.Nodes[0].State
	found["task write"] = node.TaskWrites[0].Payload
	state, err := run.GetSnapshot(ctx, runstore.LatestSnapshot())
	require(t, err)
	found["state"] = state.State["part"]
	for revision, part := range []func(*runstore.Output) runstore.Payload{
		func(o *runstore.Output) runstore.Payload { return o.Payload },
		func(o *runstore.Output) runstore.Payload { return o.Provenance },
		func(o *runstore.Output) runstore.Payload { return o.Statistics },
	} {
		output, err := run.GetOutputRevision(ctx, int32(revision+1))
		require(t, err)
		found["output "+string(rune('1'+revision))] = part(output)
	}
	return found
}

func TestAPartSentByItsHashComesBackWhole(t *testing.T) {
	ctx, run := t.Context(), savedRun(t, dial(t))
	part := runstore.JSON(`{"b":1.0,"a":"\u0000"}`)
	_, err := run.PutSnapshot(ctx, runstore.NewSnapshot{
		State: map[string]runstore.Payload{"a": part},
	})
	require(t, err)

	_, err = run.PutSnapshot(ctx, runstore.NewSnapshot{
		State: map[string]runstore.Payload{"b": runstore.Ref(part.SHA256())},
	})
	require(t, err)

	snapshot, err := run.GetSnapshot(ctx, runstore.LatestSnapshot())
	require(t, err)
	equal(t, "parts", len(snapshot.State), 1)
	equal(t, "b", snapshot.State["b"], part)
}

func TestAHashTheRunDoesNotKnowIsRefused(t *testing.T) {
	unknown := runstore.Ref(runstore.JSON("1").SHA256())

	_, err := savedRun(t, dial(t)).PutSnapshot(t.Context(), runstore.NewSnapshot{
		State: map[string]runstore.Payload{"a": unknown},
	})

	var refused *runstore.UnknownRefError
	if !errors.As(err, &refused) || len(refused.Ref()) != 64 {
		t.Fatalf("got %v", err)
	}
}

func TestAnAbsentPayloadStaysAbsent(t *testing.T) {
	run := savedRun(t, dial(t))
	_, err := run.Append(t.Context(), runstore.NewEvent{Type: "bare"})
	require(t, err)

	event := first(t, run.Events(t.Context(), runstore.EventsOptions{}))

	equal(t, "is zero", event.Payload.IsZero(), true)
}

type loop struct{ Next *loop }

func TestARefusalNamesThePathOfTheValue(t *testing.T) {
	type embedded struct{ Rate float64 }
	type step struct {
		embedded
		Score   any `json:"score,omitempty"`
		Private any `json:"-"`
	}
	around := &loop{}
	around.Next = around
	for _, each := range []struct {
		value          any
		field, problem string
	}{
		{[]any{0, map[string]any{"score": math.NaN()}}, "payload[1].score", "NaN is not JSON"},
		{step{Score: math.Inf(-1)}, "payload.score", "-Inf is not JSON"},
		{step{embedded: embedded{math.Inf(1)}}, "payload.Rate", "+Inf is not JSON"},
		{&step{Score: make(chan int), Private: math.NaN()}, "payload.score", "a chan int is not JSON"},
		{map[string]any{"a b": func() {}}, `payload["a b"]`, "a func() is not JSON"},
		{[1]complex128{}, "payload[0]", "a complex128 is not JSON"},
		{map[float64]int{1: 1}, "payload", "a key of type float64 is not JSON"},
		{map[int]any{7: "\xff"}, `payload["7"]`, "a string that is not UTF-8 is not JSON"},
		{map[string]any{"\xff": 1}, "payload", "a key that is not UTF-8 is not JSON"},
	} {
		err := runstore.JSONOf(each.value).Err()

		var invalid *runstore.InvalidArgumentError
		if !errors.As(err, &invalid) {
			t.Fatalf("%#v: got %v", each.value, err)
		}
		equal(t, "field", invalid.Field, each.field)
		equal(t, "problem", invalid.Problem, each.problem)
	}
	var invalid *runstore.InvalidArgumentError
	var itself any
	itself = &itself
	for _, loop := range []any{around, itself} {
		if err := runstore.JSONOf(loop).Err(); !errors.As(err, &invalid) {
			t.Fatalf("got %v", err)
		}
		equal(t, "field of a loop", invalid.Field, "payload")
	}
}

func TestAReplacementCharacterOfTheCallersIsKept(t *testing.T) {
	payload := runstore.JSONOf([]string{"\ufffd", `\ufffd`})

	require(t, payload.Err())
	equal(t, "text", payload.Text(), "[\"\ufffd\",\"\\\\ufffd\"]")
}

func TestJSONOfWritesWhatItIsGiven(t *testing.T) {
	for want, value := range map[string]any{
		`{"a":"<&>","b":[1,2.5,null]}`: map[string]any{"a": "<&>", "b": []any{1, 2.5, nil}},
		`"😀"`:                          "😀",
		`null`:                         nil,
		`"eA=="`:                       []byte("x"),
	} {
		equal(t, "text", runstore.JSONOf(value).Text(), want)
	}
}

func TestAPayloadThatCannotBeMadeFailsTheCall(t *testing.T) {
	client := dialTo(t, "127.0.0.1:1") // nothing is sent, so nobody has to be there
	run := client.Run("run")
	for name, payload := range map[string]runstore.Payload{
		"a channel": runstore.JSONOf(make(chan int)),
		"not UTF-8": runstore.JSON([]byte{'"', 0xff, '"'}),
	} {
		event := runstore.NewEvent{Type: "t", Payload: payload}
		snapshot := runstore.NewSnapshot{State: map[string]runstore.Payload{"a": payload}}
		ctx := t.Context()
		_, saved := client.SaveRun(ctx, runstore.NewRun{Plan: payload})
		_, one := run.Append(ctx, event)
		_, many := run.Append(ctx, runstore.NewEvent{Type: "t"}, event)
		_, put := run.PutSnapshot(ctx, snapshot)
		_, written := run.PutTaskWrites(ctx, runstore.TaskWrite{TaskID: "t", Payload: payload})
		_, completed := run.Complete(ctx, runstore.Completion{Output: runstore.NewOutput{Payload: payload}})

		for place, err := range []error{saved, one, many, put, written, completed} {
			if !errors.Is(err, payload.Err()) || err == nil {
				t.Errorf("%s, call %d: got %v", name, place, err)
			}
		}
	}
}

func TestDecodeParsesJSONOnly(t *testing.T) {
	var value struct{ A int }
	require(t, runstore.JSON(`{"A":7}`).Decode(&value))
	equal(t, "A", value.A, 7)

	if err := runstore.Binary([]byte(`{"A":7}`), "").Decode(&value); err == nil {
		t.Fatal("bytes were decoded")
	}
}

func TestBytesAreACopy(t *testing.T) {
	payload := runstore.Binary([]byte("abc"), "")

	payload.Bytes()[0] = 'x'

	equal(t, "bytes", bytes.Equal(payload.Bytes(), []byte("abc")), true)
}
