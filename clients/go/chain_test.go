package runstore_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/runstore/runstore/clients/go"
)

// The hash chain by its page, docs/chain.md, and nothing else: what is here shares no code with the
// server or with the clients.

const chainPage = "../../docs/chain.md"

// columns is how wide the digits are in the page's dump; names stand behind them.
const columns = 84

// field is one field of a text that is hashed.
func field[T string | []byte](content T) []byte {
	return append(binary.BigEndian.AppendUint64(nil, uint64(len(content))), content...)
}

func texts(items []string) []byte {
	var all []byte
	for _, each := range items {
		all = append(all, field(each)...)
	}
	return all
}

func number(n int64) []byte { return field(strconv.FormatInt(n, 10)) }

func hashed(kind string, fields ...[]byte) []byte {
	sum := sha256.Sum256(append(field(kind), slices.Concat(fields...)...))
	return sum[:]
}

func payloadField(p runstore.Payload) []byte {
	if p.IsZero() {
		return field("")
	}
	kind := "binary"
	if p.IsJSON() {
		kind = "json"
	}
	return field(slices.Concat(field(kind), field(p.ContentType()), field(p.Bytes())))
}

func timeField(at time.Time) []byte {
	if at.IsZero() {
		return field("")
	}
	return number(at.UnixMicro())
}

func usageField(u *runstore.Usage) []byte {
	if u == nil {
		return field("")
	}
	return field(slices.Concat(
		number(u.InputTokens), number(u.OutputTokens), number(u.CachedInputTokens),
		number(u.CostMicros), number(u.Duration.Microseconds()),
	))
}

func sealedRun(run *runstore.RunInfo) []byte {
	var labels []byte
	names := make([]string, 0, len(run.Labels))
	for name := range run.Labels {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		labels = append(labels, field(slices.Concat(field(name), field(run.Labels[name])))...)
	}
	url := ""
	if run.ExternalRef != nil {
		url = run.ExternalRef.URL
	}
	return hashed("sealed-run", field(run.Salt), field(run.Objective), payloadField(run.Plan),
		field(texts(run.Tags)), field(labels), field(url), field(texts(run.Subjects)))
}

func birth(run *runstore.RunInfo) []byte {
	var pins []byte
	for _, ref := range run.ConfigRefs {
		pins = append(pins, field(slices.Concat(
			field(ref.Kind), field(ref.Name), number(ref.Version), field(ref.Digest),
		))...)
	}
	var external runstore.ExternalRef
	if run.ExternalRef != nil {
		external = *run.ExternalRef
	}
	fields := [][]byte{
		field(run.Project), field(run.RunID), field(run.PlanID), field(run.ParentRunID),
		field(external.System), field(external.ID), field(pins), field(sealedRun(run)),
	}
	if base := run.ForkBase; base != nil {
		fields = append(fields, field(base.RunID), number(base.Seq))
	}
	if external.OwnsStatus {
		fields = append(fields, field("owns_status"))
	}
	return hashed("run/2", fields...)
}

func sealed(event *runstore.Event) []byte {
	return hashed("sealed", field(event.Salt), payloadField(event.Payload), field(event.Actor),
		field(texts(event.Tags)), field(texts(event.Subjects)))
}

func body(event *runstore.Event) []byte {
	return hashed("event/2", field(event.EventID), field(event.Type), field(event.NodeID),
		field(event.Model), field(event.Tool), usageField(event.Usage), field(event.TraceParent),
		timeField(event.OccurredAt), field(sealed(event)))
}

func link(previous []byte, event *runstore.Event) []byte {
	return hashed("link", field(previous), number(event.Seq), timeField(event.RecordedAt),
		field(body(event)))
}

// shownRun and shownEvent are what the page shows: what the client returns, and what is computed.
type shownRun struct {
	Project     string            `json:"project"`
	RunID       string            `json:"run_id"`
	PlanID      string            `json:"plan_id"`
	ParentRunID string            `json:"parent_run_id"`
	Objective   string            `json:"objective"`
	Plan        *shownPayload     `json:"plan"`
	Tags        []string          `json:"tags"`
	Labels      map[string]string `json:"labels"`
	Subjects    []string          `json:"subjects"`
	ConfigRefs  []shownPin        `json:"config_refs"`
	Salt        string            `json:"salt"`
	SealedRun   string            `json:"sealed_run"`
	Birth       string            `json:"birth"`
}

type shownPin struct {
	Kind    string `json:"kind"`
	Name    string `json:"name"`
	Version int64  `json:"version"`
	Digest  string `json:"digest"`
}

type shownEvent struct {
	Seq         int64         `json:"seq"`
	EventID     string        `json:"event_id"`
	Type        string        `json:"type"`
	Payload     *shownPayload `json:"payload"`
	NodeID      string        `json:"node_id"`
	Actor       string        `json:"actor"`
	Model       string        `json:"model"`
	Tool        string        `json:"tool"`
	Tags        []string      `json:"tags"`
	Usage       *shownUsage   `json:"usage"`
	TraceParent string        `json:"trace_parent"`
	OccurredAt  time.Time     `json:"occurred_at"`
	Subjects    []string      `json:"subjects"`
	RecordedAt  time.Time     `json:"recorded_at"`
	Salt        string        `json:"salt"`
	Sealed      string        `json:"sealed"`
	Body        string        `json:"body"`
	Hash        string        `json:"hash"`
}

type shownUsage struct {
	InputTokens       int64 `json:"input_tokens"`
	OutputTokens      int64 `json:"output_tokens"`
	CachedInputTokens int64 `json:"cached_input_tokens"`
	CostMicros        int64 `json:"cost_micros"`
	DurationUs        int64 `json:"duration_us"`
}

type shownPayload struct {
	JSON string `json:"json"`
}

func (p *shownPayload) value() runstore.Payload {
	if p == nil {
		return runstore.Payload{}
	}
	return runstore.JSON(p.JSON)
}

func (r shownRun) value(t *testing.T) *runstore.RunInfo {
	pins := make([]runstore.ConfigRef, len(r.ConfigRefs))
	for at, each := range r.ConfigRefs {
		pins[at] = runstore.ConfigRef{
			Kind: each.Kind, Name: each.Name, Version: each.Version, Digest: each.Digest,
		}
	}
	return &runstore.RunInfo{
		Project: r.Project, RunID: r.RunID, PlanID: r.PlanID, ParentRunID: r.ParentRunID,
		Objective: r.Objective, Plan: r.Plan.value(), Tags: r.Tags, Labels: r.Labels,
		Subjects: r.Subjects, ConfigRefs: pins, Salt: decoded(t, r.Salt),
	}
}

func (e shownEvent) value(t *testing.T) *runstore.Event {
	event := &runstore.Event{
		Seq: e.Seq, EventID: e.EventID, Type: e.Type, Payload: e.Payload.value(), NodeID: e.NodeID,
		Actor: e.Actor, Model: e.Model, Tool: e.Tool, Tags: e.Tags, TraceParent: e.TraceParent,
		OccurredAt: e.OccurredAt, Subjects: e.Subjects, RecordedAt: e.RecordedAt,
		Salt: decoded(t, e.Salt),
	}
	if u := e.Usage; u != nil {
		event.Usage = &runstore.Usage{
			InputTokens: u.InputTokens, OutputTokens: u.OutputTokens,
			CachedInputTokens: u.CachedInputTokens, CostMicros: u.CostMicros,
			Duration: time.Duration(u.DurationUs) * time.Microsecond,
		}
	}
	return event
}

func decoded(t *testing.T, digits string) []byte {
	t.Helper()
	content, err := hex.DecodeString(digits)
	require(t, err)
	return content
}

// block is the first fenced block of this language.
func block(t *testing.T, page, language string) string {
	t.Helper()
	_, rest, begins := strings.Cut(page, "```"+language+"\n")
	inside, _, ends := strings.Cut(rest, "```")
	equal(t, "a block of "+language, begins && ends, true)
	return inside
}

func TestTheExampleOfThePageIsRecomputed(t *testing.T) {
	page, err := os.ReadFile(chainPage)
	require(t, err)
	var shown struct {
		Run    shownRun
		Events []shownEvent
	}
	require(t, json.Unmarshal([]byte(block(t, string(page), "json")), &shown))

	run := shown.Run.value(t)
	equal(t, "sealed_run", hex.EncodeToString(sealedRun(run)), shown.Run.SealedRun)
	previous := birth(run)
	equal(t, "birth", hex.EncodeToString(previous), shown.Run.Birth)
	equal(t, "events", len(shown.Events), 2)
	for _, each := range shown.Events {
		event := each.value(t)
		equal(t, "sealed", hex.EncodeToString(sealed(event)), each.Sealed)
		equal(t, "body", hex.EncodeToString(body(event)), each.Body)
		previous = link(previous, event)
		equal(t, "hash", hex.EncodeToString(previous), each.Hash)
	}
}

func TestTheBytesOfThePageAreThoseThatAreHashed(t *testing.T) {
	page, err := os.ReadFile(chainPage)
	require(t, err)
	_, rest, found := strings.Cut(string(page), "in hexadecimal")
	equal(t, "found", found, true)

	var digits strings.Builder
	for line := range strings.Lines(block(t, rest, "text")) {
		for _, word := range strings.Fields(line[:min(len(line), columns)]) {
			digits.WriteString(word)
		}
	}

	sum := sha256.Sum256(decoded(t, digits.String()))
	equal(t, "on the page", strings.Contains(string(page), `"sealed": "`+hex.EncodeToString(sum[:])), true)
}

func TestTheChainOfARunIsRecomputedFromWhatTheClientReturns(t *testing.T) {
	client := dial(t)
	usage := runstore.Usage{InputTokens: 1, CostMicros: 2, Duration: 1500 * time.Millisecond}
	run, err := client.SaveRun(t.Context(), runstore.NewRun{
		Objective: "Łódź", Plan: runstore.JSON(`{"b": 1.0, "b": 2}`), Tags: []string{"x"},
		Labels: map[string]string{"b": "2", "a": ""}, Subjects: []string{"ann", "bob"},
		ExternalRef: &runstore.ExternalRef{
			System: "temporal", ID: "w", URL: "https://t/w", OwnsStatus: true,
		},
	})
	require(t, err)
	_, err = run.Append(t.Context(),
		runstore.NewEvent{Type: "plain", Payload: runstore.JSON(`"\u0000"`), Actor: "a"},
		runstore.NewEvent{
			Type: "full", Payload: runstore.Binary([]byte{0, 255}, "image/png"), NodeID: "n",
			Actor: "a", Model: "m", Tool: "t", Tags: []string{"one", "two"}, Usage: &usage,
			TraceParent: "trace", OccurredAt: time.Date(1969, 12, 31, 23, 59, 59, 0, time.UTC),
			Subjects: []string{"ann"},
		},
		runstore.NewEvent{Type: "bare"},
	)
	require(t, err)
	_, err = run.Complete(t.Context(), runstore.Completion{Outcome: runstore.OutcomeSucceeded})
	require(t, err)
	fork, err := run.Fork(t.Context(), runstore.ForkOptions{AtSeq: 2})
	require(t, err)
	_, err = fork.Append(t.Context(), runstore.NewEvent{Type: "other"})
	require(t, err)

	info, err := run.Get(t.Context())
	require(t, err)
	previous := birth(info)
	for event, err := range run.ListEvents(t.Context(), runstore.ListEventsOptions{}) {
		require(t, err)
		previous = link(previous, event)
		if !bytes.Equal(previous, event.Hash) {
			t.Fatalf("event %d has hash %x, want %x", event.Seq, event.Hash, previous)
		}
	}
	equal(t, "last hash", hex.EncodeToString(info.LastHash), hex.EncodeToString(previous))

	forked, err := fork.Get(t.Context())
	require(t, err)
	previous = birth(info)
	for event, err := range fork.ListEvents(t.Context(), runstore.ListEventsOptions{}) {
		require(t, err)
		if event.Seq == forked.ForkBase.Seq+1 {
			previous = hashed("fork", field(previous), field(birth(forked)))
		}
		previous = link(previous, event)
	}
	equal(t, "last hash of the fork", hex.EncodeToString(forked.LastHash), hex.EncodeToString(previous))
}
