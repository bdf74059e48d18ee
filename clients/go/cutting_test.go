package runstore_test

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
)

// cuts is a way to the server whose first connections are cut, each after so many bytes.
type cuts struct {
	target string
	// up and down count the bytes that went to the server and came from it.
	up, down atomic.Int64
	// connections is how many there were.
	connections atomic.Int64
}

type direction int

const (
	upwards direction = iota
	downwards
)

// cutting is such a way to the shared server: connection number n is cut after[n] bytes in the
// direction, later ones are not.
func cutting(t *testing.T, way direction, after ...int64) *cuts {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require(t, err)
	c := &cuts{target: listener.Addr().String()}
	var running sync.WaitGroup
	var open sync.Map
	running.Go(func() {
		for {
			from, err := listener.Accept()
			if err != nil {
				return
			}
			to, err := net.Dial("tcp", sharedTarget)
			if err != nil {
				from.Close()
				continue
			}
			open.Store(from, true)
			open.Store(to, true)
			limits := [2]int64{1 << 62, 1 << 62}
			if number := c.connections.Add(1); number <= int64(len(after)) {
				limits[way] = after[number-1]
			}
			closed := func() {
				from.Close()
				to.Close()
			}
			running.Go(func() { defer closed(); pass(to, from, limits[upwards], &c.up) })
			running.Go(func() { defer closed(); pass(from, to, limits[downwards], &c.down) })
		}
	})
	t.Cleanup(func() {
		listener.Close()
		open.Range(func(conn, _ any) bool {
			conn.(net.Conn).Close()
			return true
		})
		running.Wait()
	})
	return c
}

// pass copies up to limit bytes, and counts them.
func pass(to io.Writer, from io.Reader, limit int64, passed *atomic.Int64) {
	buffer := make([]byte, 16<<10)
	for limit > 0 {
		count, err := from.Read(buffer[:min(limit, int64(len(buffer)))])
		if _, failed := to.Write(buffer[:count]); err != nil || failed != nil {
			return
		}
		limit -= int64(count)
		passed.Add(int64(count))
	}
}
