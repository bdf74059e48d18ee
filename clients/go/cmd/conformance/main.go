// Command conformance executes the scenarios with the Go client; clients/conformance/README.md
// defines them.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"

	"github.com/runstore/runstore/clients/go"
)

type file struct {
	Payloads  map[string]any `json:"payloads"`
	Scenarios []scenario     `json:"scenarios"`
	Schema    string         `json:"$schema"`
}

type scenario struct {
	Name  string `json:"name"`
	Each  string `json:"each"`
	Steps []step `json:"steps"`
}

type step struct {
	Do     string         `json:"do"`
	As     string         `json:"as"`
	Args   map[string]any `json:"args"`
	Expect any            `json:"expect"`
	Error  any            `json:"error"`
}

func main() {
	target := flag.String("target", "", "host:port of the server")
	scenarios := flag.String("scenarios", "", "the file of scenarios")
	project := flag.String("project", "", "what projects begin with")
	control := flag.String("control", "", "where the server is restarted")
	results := flag.String("results", "", "the file to write")
	flag.Parse()
	if err := run(*target, *scenarios, *project, *control, *results); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(target, scenarios, project, control, results string) error {
	text, err := os.ReadFile(scenarios)
	if err != nil {
		return err
	}
	var all file
	if err := decode(text, &all); err != nil {
		return err
	}
	seen := map[string][]any{}
	for _, each := range all.Scenarios {
		for _, name := range casesOf(text, each) {
			client, err := runstore.Dial(target,
				runstore.WithProject(fmt.Sprintf("%s/%d", project, len(seen))),
				runstore.WithTimeout(longestWait),
			)
			if err != nil {
				return err
			}
			title := each.Name
			if name != "" {
				title += ": " + name
			}
			known := map[string]any{"project": client.Project(), "payload": all.Payloads[name]}
			seen[title] = execute(&runner{client: client, control: control}, each.Steps, known)
			if err := client.Close(); err != nil {
				return err
			}
		}
	}
	written, err := json.Marshal(seen)
	if err != nil {
		return err
	}
	return os.WriteFile(results, written, 0o600)
}

// casesOf returns the names of the payloads in the order of the file, for a scenario with each.
func casesOf(text []byte, of scenario) []string {
	if of.Each == "" {
		return []string{""}
	}
	var raw struct {
		Payloads json.RawMessage `json:"payloads"`
	}
	_ = json.Unmarshal(text, &raw)
	decoder := json.NewDecoder(bytes.NewReader(raw.Payloads))
	_, _ = decoder.Token() // the opening brace
	var names []string
	for decoder.More() {
		name, _ := decoder.Token()
		names = append(names, name.(string))
		var skipped json.RawMessage
		_ = decoder.Decode(&skipped)
	}
	return names
}

func execute(r *runner, steps []step, known map[string]any) []any {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var done []any
	for _, each := range steps {
		result, err := r.step(ctx, each, known)
		var told *runstore.Error
		switch {
		case err == nil:
			if each.As != "" {
				known[each.As] = result
			}
			done = append(done, map[string]any{"result": result})
		case errors.As(err, &told):
			done = append(done, map[string]any{"error": seenError(err, told)})
		default:
			done = append(done, map[string]any{"failed": err.Error()})
		}
	}
	return done
}

func (r *runner) step(ctx context.Context, each step, known map[string]any) (any, error) {
	operation, ok := operations[each.Do]
	if !ok {
		return nil, fmt.Errorf("unknown operation %s", each.Do)
	}
	given, err := resolved(each.Args, known)
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(given)
	if err != nil {
		return nil, err
	}
	var a arguments
	if err := decode(text, &a); err != nil {
		return nil, err
	}
	result, err := operation(r, ctx, &a)
	if err != nil {
		return nil, err
	}
	return seen(result), nil
}

// resolved returns a value with "$name.path" replaced by its value.
func resolved(value any, known map[string]any) (any, error) {
	var err error
	switch value := value.(type) {
	case string:
		if !strings.HasPrefix(value, "$") {
			return value, nil
		}
		return referred(value, known)
	case map[string]any:
		made := make(map[string]any, len(value))
		for name, each := range value {
			if made[name], err = resolved(each, known); err != nil {
				return nil, err
			}
		}
		return made, nil
	case []any:
		made := make([]any, len(value))
		for index, each := range value {
			if made[index], err = resolved(each, known); err != nil {
				return nil, err
			}
		}
		return made, nil
	}
	return value, nil
}

func referred(reference string, known map[string]any) (any, error) {
	var found any = known
	for _, part := range strings.Split(reference[1:], ".") {
		switch at := found.(type) {
		case map[string]any:
			found = at[part]
		case []any:
			var index int
			if _, err := fmt.Sscan(part, &index); err != nil || index >= len(at) {
				return nil, fmt.Errorf("cannot resolve %s", reference)
			}
			found = at[index]
		default:
			return nil, fmt.Errorf("cannot resolve %s", reference)
		}
	}
	if found == nil {
		return nil, fmt.Errorf("cannot resolve %s", reference)
	}
	return found, nil
}

// decode reads JSON strictly, with numbers as they are written.
func decode(text []byte, value any) error {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	decoder.DisallowUnknownFields()
	return decoder.Decode(value)
}
