package runstore

import (
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
)

var gone = errorOfCode(codes.Unavailable, "")

func errorOfCode(code codes.Code, reason string) error {
	e := &Error{Code: code, Reason: reason, Message: "words"}
	if typed, ok := byReason[reason]; ok {
		return typed(e)
	}
	return &UnavailableError{e}
}

func TestDelaysGrowToABoundAndAreSpread(t *testing.T) {
	b := backoff{first: 100 * time.Millisecond, most: time.Second, factor: 2}
	for attempt, ceiling := range map[int]time.Duration{
		1: 100 * time.Millisecond, 2: 200 * time.Millisecond, 4: 800 * time.Millisecond,
		5: time.Second, 1000: time.Second, 100_000: time.Second,
	} {
		delay, ok := b.delay(attempt, gone)
		if !ok || delay < ceiling/2 || delay > ceiling {
			t.Errorf("attempt %d: %v, %v", attempt, delay, ok)
		}
	}
}

func TestOnlyWhatATryMayMendIsTriedAgain(t *testing.T) {
	mendable := map[string]bool{
		"STORAGE_UNAVAILABLE": true, "SERVER_DRAINING": true, "OVERLOADED": true,
		"QUOTA_EXCEEDED": true,
	}
	for reason := range reasons() {
		_, ok := defaultBackoff.delay(1, errorOfCode(codes.Unknown, reason))
		if ok != mendable[reason] {
			t.Errorf("%s: %v", reason, ok)
		}
	}
}

func TestAServerThatSaysWhenToComeBackIsHeard(t *testing.T) {
	err := &OverloadedError{&Error{RetryAfter: time.Minute}}

	if delay, _ := defaultBackoff.delay(1, err); delay != time.Minute {
		t.Fatalf("got %v", delay)
	}
}

func TestPatienceIsUsedUpByFailingNotByASlowCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := patience{limit: time.Minute, backoff: defaultBackoff}
		time.Sleep(time.Hour)
		var asked []bool
		for _, later := range []time.Duration{0, time.Minute, time.Second} {
			time.Sleep(later)
			_, ok := p.delay(gone)
			asked = append(asked, ok)
		}
		p.renew()
		time.Sleep(time.Hour)
		_, renewed := p.delay(gone)
		if !asked[0] || !asked[1] || asked[2] || !renewed {
			t.Fatalf("got %v, %v", asked, renewed)
		}
	})
}
