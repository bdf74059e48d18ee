package runstore_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/runstore/runstore/clients/go"
)

// python runs the service's own code; make setup makes it.
func python() string {
	if given := os.Getenv("RUNSTORE_TEST_PYTHON"); given != "" {
		return given
	}
	made, _ := filepath.Abs("../../.venv/bin/python")
	return made
}

// database is a Postgres with a migrated schema, served by a process of its own.
type database struct {
	url     string
	schema  string
	objects string // the folder of artifacts' bytes
	process *exec.Cmd
	input   interface{ Close() error }
}

func startDatabase() (*database, error) {
	objects, err := os.MkdirTemp("", "runstore-go-objects-")
	if err != nil {
		return nil, err
	}
	d := &database{schema: fmt.Sprintf("runstore_go_test_%d", os.Getpid()), objects: objects}
	d.process = exec.Command(python(), "testdata/database.py", d.schema)
	d.process.Stderr = os.Stderr
	input, _ := d.process.StdinPipe()
	output, _ := d.process.StdoutPipe()
	if err := d.process.Start(); err != nil {
		return nil, fmt.Errorf("%w: run make setup in the repository's root", err)
	}
	d.input = input
	url, err := bufio.NewReader(output).ReadString('\n')
	if err != nil {
		return nil, errors.Join(err, d.stop())
	}
	d.url = strings.TrimSpace(url)
	return d, nil
}

func (d *database) stop() error {
	return errors.Join(d.input.Close(), d.process.Wait(), os.RemoveAll(d.objects))
}

// server is a server process on a port that stays the same, to be killed and started again.
type server struct {
	target   string
	log      string
	database *database
	process  *exec.Cmd
}

func newServer(d *database, log string) *server {
	held, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	defer held.Close()
	return &server{target: held.Addr().String(), log: log, database: d}
}

func (s *server) start() error {
	log, err := os.OpenFile(s.log, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	_, port, _ := net.SplitHostPort(s.target)
	s.process = exec.Command(python(), "testdata/server.py", "serve", "--port", port)
	s.process.Env = append(os.Environ(),
		"RUNSTORE_DATABASE_URL="+s.database.url,
		"RUNSTORE_DB_SCHEMA="+s.database.schema,
		"RUNSTORE_OBJECTS_URL=file://"+s.database.objects,
		"RUNSTORE_LOG_FORMAT=json",
		"RUNSTORE_DRAIN_SECONDS=5",
		"RUNSTORE_HTTP=false", // its port would be the same for all
	)
	s.process.Stdout, s.process.Stderr = log, log
	if _, err := s.process.StdinPipe(); err != nil { // closed when this process ends
		return err
	}
	return s.process.Start()
}

func (s *server) waitUntilServing() error {
	client, err := runstore.Dial(s.target)
	if err != nil {
		return err
	}
	defer client.Close()
	for give := time.Now().Add(patient); ; time.Sleep(50 * time.Millisecond) {
		isServing, err := client.Healthy(context.Background())
		if isServing {
			return nil
		}
		if time.Now().After(give) {
			said, _ := os.ReadFile(s.log)
			return fmt.Errorf("no server: %v; its log: %s", err, said)
		}
	}
}

func (s *server) stopBy(signal syscall.Signal) {
	_ = s.process.Process.Signal(signal)
	_ = s.process.Wait()
}

var (
	sharedDatabase *database
	sharedTarget   string
)

// ownServer is a server that the test may stop.
func ownServer(t *testing.T) *server {
	t.Helper()
	s := newServer(sharedDatabase, filepath.Join(t.TempDir(), "server.log"))
	require(t, s.start())
	t.Cleanup(func() { s.stopBy(syscall.SIGTERM) })
	require(t, s.waitUntilServing())
	return s
}
