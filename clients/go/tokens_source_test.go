package runstore

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestATokenIsReadAgainEachMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		held, reads := "old", 0
		source, err := newTokenSource(func() (string, error) { reads++; return held, nil })
		if err != nil {
			t.Fatal(err)
		}
		held = "new"
		time.Sleep(time.Minute - time.Nanosecond)
		before := source.current()
		time.Sleep(time.Nanosecond)
		after := source.current()
		if before != "old" || after != "new" || reads != 2 {
			t.Fatalf("got %s, %s, %d reads", before, after, reads)
		}
	})
}

func TestATokenThatCannotBeReadLeavesTheOneBefore(t *testing.T) {
	var problem error
	source, err := newTokenSource(func() (string, error) { return "old", problem })
	if err != nil {
		t.Fatal(err)
	}
	problem = errors.New("gone")
	if token, told := source.look(); token != "old" || told != problem {
		t.Fatalf("got %s, %v", token, told)
	}
	problem = nil
	if token, told := source.look(); token != "old" || told != nil {
		t.Fatalf("got %s, %v", token, told)
	}
}

func TestOnlyLoopbackAndSocketsAreThisMachine(t *testing.T) {
	for target, want := range map[string]bool{
		"localhost:7411":                     true,
		"LOCALHOST:1":                        true,
		"127.0.0.1:7411":                     true,
		"127.9.9.9:7411":                     true,
		"[::1]:7411":                         true,
		"[::ffff:127.0.0.1]:7411":            true,
		"grpcs://localhost:7411":             true,
		"dns:localhost:7411":                 true,
		"dns:///localhost:7411":              true,
		"ipv4:127.0.0.1:7411,127.0.0.2:7411": true,
		"ipv6:[::1]:7411":                    true,
		"unix:/run/runstore.sock":            true,
		"unix:///run/runstore.sock":          true,
		"unix-abstract:runstore":             true,
		"runstore.example.com:7411":          false,
		"10.0.0.1:7411":                      false,
		"0.0.0.0:7411":                       false,
		"128.0.0.1:7411":                     false,
		"[::]:7411":                          false,
		"[::ffff:10.0.0.1]:7411":             false,
		"localhost.example.com:7411":         false,
		"127.0.0.1.example.com:7411":         false,
		"dns:///runstore.example.com:7411":   false,
		"dns://10.0.0.1/localhost:7411":      false,
		"ipv4:127.0.0.1:7411,10.0.0.1:7411":  false,
		"ipv6:[::2]:7411":                    false,
		"vsock:2:7411":                       false,
		"xds:///localhost:7411":              false,
		"passthrough:///localhost:7411":      false,
	} {
		if got := isLoopback(target); got != want {
			t.Errorf("%s: %v", target, got)
		}
	}
}
