package main

import (
	"encoding/hex"
	"fmt"
	"iter"
	"math"
)

// entering is a run of the history, and the seq before which the chain is bound to its birth.
type entering struct {
	seq   int64
	birth []byte
}

// ancestor is a run of the history: its events up to a seq, unless a fork begins before them.
type ancestor struct {
	runID, birth string
	lastSeq      int64
	hasEvents    bool
}

// pair is a line of a chain file, and the one beside it.
type pair struct{ open, sealed row }

// pairs yields the lines of the chain files, each with the one of the sealed files beside it.
func (v *verifying) pairs() iter.Seq2[pair, error] {
	return func(yield func(pair, error) bool) {
		for number := 1; ; number++ {
			open := fmt.Sprintf("chain-%06d.jsonl.gz", number)
			sealed := fmt.Sprintf("sealed-%06d.jsonl.gz", number)
			_, hasOpen := v.rows[open]
			_, hasSealed := v.rows[sealed]
			if !hasOpen && !hasSealed {
				return
			}
			if hasOpen != hasSealed {
				yield(pair{}, breaks("%s and %s are not both there", open, sealed))
				return
			}
			if !v.beside(open, sealed, yield) {
				return
			}
		}
	}
}

func (v *verifying) beside(open, sealed string, yield func(pair, error) bool) bool {
	next, stop := iter.Pull2(v.files.lines(sealed))
	defer stop()
	rows := int64(0)
	for of, err := range v.files.lines(open) {
		if err != nil {
			yield(pair{}, err)
			return false
		}
		hidden, err, isThere := next()
		if err == nil && !isThere {
			err = breaks("%s has fewer lines than %s", sealed, open)
		}
		if !yield(pair{of, hidden}, err) || err != nil {
			return false
		}
		rows++
	}
	if _, err, isThere := next(); isThere {
		if err == nil {
			err = breaks("%s has more lines than %s", sealed, open)
		}
		yield(pair{}, err)
		return false
	}
	if rows != v.rows[open] || rows != v.rows[sealed] {
		yield(pair{}, breaks("%s and %s do not have the rows that the manifest says", open, sealed))
		return false
	}
	return true
}

// checkChain checks that the events follow from the births, up to the head.
func (v *verifying) checkChain() error {
	next, stop := iter.Pull2(v.pairs())
	defer stop()
	var births []row
	for range v.manifest.objects("lineage") {
		each, err, isThere := next()
		if err != nil {
			return err
		}
		if !isThere {
			return broken("there are fewer births than runs in the lineage")
		}
		born, err := v.born(each)
		if err != nil {
			return err
		}
		births = append(births, born)
	}
	entered, err := v.segments(births)
	if err != nil {
		return err
	}
	ownFrom := int64(1)
	if base := births[len(births)-1].object("fork_base"); base != nil {
		ownFrom = base.number("seq") + 1
	}
	return v.follow(next, entered, ownFrom)
}

func (v *verifying) follow(
	next func() (pair, error, bool), entered []entering, ownFrom int64,
) error {
	var link []byte
	var used usage
	seq := int64(0)
	for {
		each, err, isThere := next()
		if err != nil {
			return err
		}
		if !isThere {
			break
		}
		seq++
		link, entered = enter(entered, seq, link)
		if link, err = v.link(link, seq, each); err != nil {
			return err
		}
		if seq >= ownFrom {
			used.add(each.open.object("usage"))
		}
		if v.ended != nil {
			v.problem("event %d comes after the terminal event", seq)
		} else if each.open.text("type") == "run.completed" {
			_, fact := content(each.sealed.object("payload"))
			v.ended = parse(fact)
		}
	}
	link, entered = enter(entered, seq+1, link)
	if seq != v.head.number("last_seq") {
		v.problem("there are %d events, not %d as the head says", seq, v.head.number("last_seq"))
	} else if hex.EncodeToString(link) != v.head.text("last_hash") {
		v.problem("the last event is not the one that the head records")
	}
	if len(entered) > 0 {
		v.problem("the history has a run that begins after the last event")
	}
	if used != usageOf(v.head.object("usage")) {
		v.problem("the head's usage is not the sum of that of the run's events")
	}
	v.checkEnd()
	return nil
}

// checkEnd checks that the head says of the run's end what the events do.
func (v *verifying) checkEnd() {
	if v.head.isNull("completed_at") != (v.ended == nil) {
		v.problem("the head and the events do not agree on whether the run has ended")
		return
	}
	outcome, status := "UNSPECIFIED", v.head.text("status")
	follows := status == "RUNNING" || status == "PAUSED"
	if v.ended != nil {
		outcome = v.ended.text("outcome")
		follows = status == outcome && outcome != "UNSPECIFIED"
	}
	if v.head.text("outcome") != outcome {
		v.problem("the head and the events do not agree on the outcome")
	}
	if !follows && status != "EXTERNAL" {
		v.problem("the head's status does not follow from the outcome")
	}
}

// usage is what was used, in the order of usageNames.
type usage [5]int64

func usageOf(of row) usage {
	var found usage
	found.add(of)
	return found
}

// mostUsed is what a sum that would exceed it is.
var mostUsed = usage{
	math.MaxInt64, math.MaxInt64, math.MaxInt64, math.MaxInt64, 315_576_000_000 * 1_000_000,
}

// add adds what an event used, nil for nothing.
func (u *usage) add(of row) {
	if of == nil {
		return
	}
	for at, name := range usageNames {
		if more := of.number(name); more > mostUsed[at]-u[at] {
			u[at] = mostUsed[at]
		} else {
			u[at] += more
		}
	}
}

func (v *verifying) born(each pair) (row, error) {
	each.sealed.of(members{"run": sealedRunKind.check})
	sealed, kind := each.sealed.object("run"), runKind
	if !sealed.isNull("salt") {
		kind = kind.and(hexText, "sealed")
	}
	each.open.of(members{"run": kind.check})
	run := each.open.object("run")
	name := run.text("run_id")
	if sealed.text("run_id") != name {
		return nil, breaks("run %q is beside what is sealed of another run", name)
	}
	hash, of := birth(run, sealed)
	if of != nil && hex.EncodeToString(of) != run.text("sealed") {
		v.problem("what is sealed of run %q is not what its birth has", name)
	}
	if hex.EncodeToString(hash) != run.text("birth") {
		v.problem("run %q does not match the hash of its birth", name)
	}
	if run.text("project") != v.manifest.text("project") {
		v.problem("run %q is of another project than the manifest's", name)
	}
	for _, ref := range run.objects("config_refs") {
		v.pins[pinName(ref)] = true
	}
	return run, nil
}

// segments are the runs that the history is of, which has to be what the manifest says.
func (v *verifying) segments(births []row) ([]entering, error) {
	var lineage []ancestor
	names := map[string]bool{}
	for number, run := range births {
		if names[run.text("run_id")] {
			return nil, breaks("run %q is twice in the lineage", run.text("run_id"))
		}
		names[run.text("run_id")] = true
		base := run.object("fork_base")
		if (base != nil) != (number > 0) {
			return nil, breaks("run %q is not where it should be in the lineage", run.text("run_id"))
		}
		if base != nil {
			if base.text("run_id") != births[number-1].text("run_id") {
				return nil, breaks("run %q is not a fork of the run before it", run.text("run_id"))
			}
			// Forks of a fork may leave out what it has, but the run itself has all of its base.
			seq, isLast := base.number("seq"), number == len(births)-1
			if seq < 0 || isLast && seq > v.head.number("last_seq") {
				return nil, breaks("run %q begins where there is no event", run.text("run_id"))
			}
			lineage = cut(lineage, base.number("seq"))
		}
		lineage = append(lineage, ancestor{
			run.text("run_id"), run.text("birth"), math.MaxInt64, true,
		})
	}
	own := &lineage[len(lineage)-1]
	own.lastSeq = v.head.number("last_seq")
	if own.runID != v.manifest.text("run_id") {
		return nil, broken("the last run of the lineage is not the run of the manifest")
	}
	var found []entering
	first := int64(1)
	for number, said := range v.manifest.objects("lineage") {
		each := lineage[number]
		if each != (ancestor{
			said.text("run_id"), said.text("birth"), said.number("last_seq"), said.flag("has_events"),
		}) {
			return nil, broken("the manifest's lineage is not that of the births")
		}
		if each.hasEvents {
			found = append(found, entering{first, unhex(each.birth)})
			first = each.lastSeq + 1
		}
	}
	return found, nil
}

// cut is what a fork has, at a seq, of the history that it begins with.
func cut(lineage []ancestor, seq int64) []ancestor {
	var found []ancestor
	first := int64(1)
	for _, each := range lineage {
		kept := each
		kept.hasEvents = each.hasEvents && first <= seq+1
		kept.lastSeq = min(each.lastSeq, seq)
		found = append(found, kept)
		if each.hasEvents && each.lastSeq < math.MaxInt64 {
			first = each.lastSeq + 1
		}
	}
	return found
}

// enter is the link before event seq, bound to the runs whose events begin with it.
func enter(entered []entering, seq int64, link []byte) ([]byte, []entering) {
	for len(entered) > 0 && entered[0].seq == seq {
		if link == nil {
			link = entered[0].birth
		} else {
			link = digest("fork", link, entered[0].birth)
		}
		entered = entered[1:]
	}
	return link, entered
}

// body is the hash of the fact that an event is, and whether what is sealed of it is what the chain has.
func (v *verifying) body(event, sealed row) (body []byte, isSealed bool) {
	if _, isErased := sealed["erased_at"]; isErased {
		sealed.of(erasedEventKind)
		_, isOfVersion1 := event["body"]
		event.of(eventKinds[isOfVersion1])
		v.erased++
		return erasedBody(event), true
	}
	sealed.of(sealedEventKind)
	event.of(eventKinds[sealed.isNull("salt")])
	kind, of, body := eventBody(event, sealed)
	return body, hex.EncodeToString(of) == event.text(kind)
}

// link checks an event and returns its hash.
func (v *verifying) link(link []byte, seq int64, each pair) ([]byte, error) {
	event, sealed := each.open, each.sealed
	body, isSealed := v.body(event, sealed)
	if event.number("seq") != seq || sealed.number("seq") != seq {
		return nil, breaks("event %d is missing, or not in its place", seq)
	}
	if !isSealed {
		v.problem("what is sealed of event %d is not what the chain has", seq)
	}
	hash := digest("link", link, seq, event.number("recorded_at"), body)
	if hex.EncodeToString(hash) != event.text("hash") {
		v.problem("event %d, or an event before it, does not match its hash", seq)
	}
	return unhex(event.text("hash")), nil
}
