package runstore_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/runstore/runstore/clients/go"
)

// filled is a value of the type with every field set that callers can set; handles are made with calls.
func filled(kind reflect.Type, handles map[reflect.Type]reflect.Value) reflect.Value {
	if handle, ok := handles[kind]; ok {
		return handle
	}
	value := reflect.New(kind).Elem()
	switch kind.Kind() {
	case reflect.Pointer:
		value.Set(reflect.New(kind.Elem()))
		value.Elem().Set(filled(kind.Elem(), handles))
	case reflect.Struct:
		for place := range kind.NumField() {
			if kind.Field(place).IsExported() {
				value.Field(place).Set(filled(kind.Field(place).Type, handles))
			}
		}
	case reflect.Slice:
		value.Set(reflect.Append(value, filled(kind.Elem(), handles)))
	case reflect.Map:
		value.Set(reflect.MakeMap(kind))
		value.SetMapIndex(filled(kind.Key(), handles), filled(kind.Elem(), handles))
	case reflect.String:
		value.SetString("text")
	case reflect.Int, reflect.Int32, reflect.Int64:
		value.SetInt(1)
	case reflect.Uint8:
		value.SetUint(1)
	case reflect.Float32, reflect.Float64:
		value.SetFloat(1)
	case reflect.Bool:
		value.SetBool(true)
	}
	return value
}

// structsOf adds the structs that a type leads to: by its fields, and by what its methods take and
// return.
func structsOf(kind reflect.Type, found map[string]reflect.Type) {
	switch kind.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map:
		structsOf(kind.Elem(), found)
	case reflect.Func:
		for place := range kind.NumIn() {
			structsOf(kind.In(place), found)
		}
		for place := range kind.NumOut() {
			structsOf(kind.Out(place), found)
		}
	case reflect.Struct:
		isOurs := kind.PkgPath() == reflect.TypeFor[runstore.Client]().PkgPath()
		if _, isKnown := found[kind.Name()]; isKnown || !isOurs {
			return
		}
		found[kind.Name()] = kind
		for place := range kind.NumField() {
			if kind.Field(place).IsExported() {
				structsOf(kind.Field(place).Type, found)
			}
		}
		methods := reflect.PointerTo(kind)
		for place := range methods.NumMethod() {
			structsOf(methods.Method(place).Type, found)
		}
	}
}

// publicStructs are the names of the package's structs, errors apart.
func publicStructs(t *testing.T) (names []string) {
	t.Helper()
	files, err := os.ReadDir(".")
	require(t, err)
	for _, file := range files {
		if !strings.HasSuffix(file.Name(), ".go") || strings.HasSuffix(file.Name(), "_test.go") {
			continue
		}
		tree, err := parser.ParseFile(token.NewFileSet(), file.Name(), nil, 0)
		require(t, err)
		ast.Inspect(tree, func(node ast.Node) bool {
			spec, isType := node.(*ast.TypeSpec)
			if !isType || !spec.Name.IsExported() || strings.HasSuffix(spec.Name.Name, "Error") {
				return true
			}
			if _, isStruct := spec.Type.(*ast.StructType); isStruct {
				names = append(names, spec.Name.Name)
			}
			return true
		})
	}
	return names
}

func TestWhatCallersGiveAndGetPrintsWithoutAddresses(t *testing.T) {
	client := dial(t)
	run := savedRun(t, client)
	uploaded(t, run, client, "report", []byte("text"))
	download, err := client.Artifacts().Download(
		t.Context(), runstore.ArtifactRef{RunID: run.ID(), Name: "report"}, runstore.DownloadOptions{},
	)
	require(t, err)
	defer download.Close()
	appender := client.Appender(t.Context(), runstore.AppenderOptions{})
	pending, err := appender.Append(t.Context(), run, runstore.NewEvent{Type: "tick"})
	require(t, err)
	require(t, appender.Close())
	handles := map[reflect.Type]reflect.Value{}
	for _, handle := range []any{
		client, run, client.Feed(), client.Configs(), client.Artifacts(), client.Admin(), download, appender, pending,
		runstore.JSON("1"), time.Unix(0, 0), runstore.VersionByNumber(1),
		runstore.SnapshotAtSeq(1).In("text"),
	} {
		handles[reflect.TypeOf(handle)] = reflect.ValueOf(handle)
	}
	found := map[string]reflect.Type{}
	for _, item := range []any{
		client, pending, runstore.CaughtUp{}, runstore.Heartbeat{}, runstore.EndOfRun{}, runstore.Violation{},
		runstore.FeedMark{},
	} {
		structsOf(reflect.TypeOf(item), found)
	}

	unreadable := regexp.MustCompile(`0x[0-9a-f]{4}|PANIC|%!`)
	for _, name := range publicStructs(t) {
		kind, ok := found[name]
		if !ok {
			t.Errorf("no method leads to %s", name)
			continue
		}
		value := filled(reflect.PointerTo(kind), handles)
		if handle, isHandle := handles[kind]; isHandle {
			value = reflect.New(kind)
			value.Elem().Set(handle)
		}
		shown := []any{value.Interface()}
		if _, isHandle := handles[reflect.PointerTo(kind)]; !isHandle {
			shown = append(shown, value.Elem().Interface())
		}
		for _, each := range shown {
			if text := fmt.Sprintf("%v %+v", each, each); unreadable.MatchString(text) {
				t.Errorf("%T prints as %s", each, text)
			}
		}
	}
}

func TestValuesPrintTheFieldsThatAreSet(t *testing.T) {
	for _, each := range []struct {
		value any
		want  string
	}{
		{
			&runstore.Event{
				Seq: 7, Type: "tool.called", Payload: runstore.JSON(`{"a": 1}`), Hash: []byte{1, 0xab},
				Tags: []string{"x", "y"}, Usage: &runstore.Usage{CostMicros: 5, Duration: time.Second},
				RecordedAt: time.Unix(0, 0).UTC(),
			},
			`Event{Seq: 7, Type: "tool.called", Payload: {"a": 1}, Tags: ["x", "y"], ` +
				`Usage: Usage{CostMicros: 5, Duration: 1s}, RecordedAt: 1970-01-01T00:00:00Z, Hash: 01ab}`,
		},
		{
			runstore.RunInfo{
				RunID: "r", Status: runstore.StatusPaused, Labels: map[string]string{"b": "2", "a": "1"},
				ExternalRef: &runstore.ExternalRef{System: "temporal"},
			},
			`RunInfo{RunID: "r", ExternalRef: ExternalRef{System: "temporal"}, ` +
				`Labels: {"a": "1", "b": "2"}, Status: PAUSED}`,
		},
		{
			runstore.SnapshotPut{}, `SnapshotPut{}`,
		},
		{
			runstore.NewEvent{Type: strings.Repeat("é", 101)},
			`NewEvent{Type: "` + strings.Repeat("é", 100) + `…"}`,
		},
		{
			runstore.NewToken{Token: &runstore.Token{Name: "ci"}, Secret: "rs1_x"},
			`NewToken{Token: Token{Name: "ci"}}`,
		},
		{
			runstore.Caller{
				Principal: runstore.Principal{Kind: runstore.PrincipalToken, ID: "x"},
				Grants:    []runstore.Grant{{Role: runstore.RoleWriter, ProjectPattern: "acme/*"}},
			},
			`Caller{Principal: Principal{Kind: TOKEN, ID: "x"}, Grants: [writer@acme/*]}`,
		},
		{runstore.JSON("1.0"), "1.0"},
		{runstore.Binary([]byte{1, 2}, "application/msgpack"), "2 bytes of application/msgpack"},
		{runstore.Payload{}, "no payload"},
		{runstore.VersionByLabel("live"), `version of label "live"`},
		{runstore.SnapshotAtSeq(3), "latest snapshot at seq 3"},
	} {
		equal(t, "printed", fmt.Sprint(each.value), each.want)
	}
}
