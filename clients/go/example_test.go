package runstore_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/runstore/runstore/clients/go"
)

func Example() {
	ctx := context.Background()
	// Where no target is given it is $RUNSTORE_TARGET, or localhost:7411.
	client, err := runstore.Dial("", runstore.WithProject("acme/search"))
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	run, err := client.SaveRun(ctx, runstore.NewRun{Objective: "answer the question"})
	if err != nil {
		log.Fatal(err)
	}
	appended, err := run.Append(ctx, runstore.NewEvent{
		Type:    "tool.called",
		Tool:    "search",
		Payload: runstore.JSON(`{"query": "postgres"}`),
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("recorded as", appended[0].Seq)
	// Output: recorded as 1
}

func ExampleRun_Events() {
	ctx := context.Background()
	client, err := runstore.Dial("", runstore.WithProject("acme/search"))
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	run, err := client.SaveRun(ctx, runstore.NewRun{})
	if err != nil {
		log.Fatal(err)
	}
	go func() {
		for _, word := range []string{"search", "write"} {
			_, err := run.Append(ctx, runstore.NewEvent{
				Type: "step.done", Payload: runstore.JSONOf(map[string]string{"step": word}),
			})
			if err != nil {
				log.Fatal(err)
			}
		}
		_, err := run.Complete(ctx, runstore.Completion{Outcome: runstore.OutcomeSucceeded})
		if err != nil {
			log.Fatal(err)
		}
	}()

	// Ends with the run, however often the server restarts meanwhile.
	for event, err := range run.Events(ctx, runstore.EventsOptions{FromSeq: 1, Follow: true}) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(event.Seq, event.Type)
	}
	// Output:
	// 1 step.done
	// 2 step.done
	// 3 run.completed
}

func ExampleRun_Resume() {
	ctx := context.Background()
	client, err := runstore.Dial("", runstore.WithProject("acme/search"))
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	crashed, err := client.SaveRun(ctx, runstore.NewRun{})
	if err != nil {
		log.Fatal(err)
	}
	_, err = crashed.PutSnapshot(ctx,
		runstore.NewSnapshot{
			State:          map[string]runstore.Payload{"draft": runstore.JSONOf("first thoughts")},
			Nodes:          []runstore.PlanNode{{NodeID: "write"}},
			PendingNodeIDs: []string{"write"},
		},
		runstore.WithEvents(runstore.NewEvent{Type: "step.done", NodeID: "search"}),
	)
	if err != nil {
		log.Fatal(err)
	}

	// Another process goes on.
	resumed, err := client.Run(crashed.ID()).Resume(ctx, runstore.ResumeOptions{Actor: "worker-2"})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("left to do:", resumed.PendingNodeIDs)
	fmt.Println("draft:", resumed.Snapshot.State["draft"].Text())

	// The first one can write no more.
	_, err = crashed.Append(ctx, runstore.NewEvent{Type: "late"})
	var fenced *runstore.WriterFencedError
	fmt.Println("fenced:", errors.As(err, &fenced))
	// Output:
	// left to do: [write]
	// draft: "first thoughts"
	// fenced: true
}

func ExampleRun_WithExpectedSeq() {
	ctx := context.Background()
	client, err := runstore.Dial("", runstore.WithProject("acme/search"))
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	run, err := client.SaveRun(ctx, runstore.NewRun{})
	if err != nil {
		log.Fatal(err)
	}
	if _, err = run.Append(ctx, runstore.NewEvent{Type: "vote", Actor: "somebody"}); err != nil {
		log.Fatal(err)
	}

	// This writer has seen no event yet.
	_, err = run.WithExpectedSeq(0).Append(ctx, runstore.NewEvent{Type: "vote", Actor: "me"})

	var conflict *runstore.SeqConflictError
	if errors.As(err, &conflict) {
		fmt.Println("read on from", conflict.ExpectedSeq()+1, "to", conflict.CurrentSeq())
	}
	// Output: read on from 1 to 1
}

func ExampleClient_Appender() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	client, err := runstore.Dial("", runstore.WithProject("acme/search"))
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	run, err := client.SaveRun(ctx, runstore.NewRun{})
	if err != nil {
		log.Fatal(err)
	}

	appender := client.Appender(ctx, runstore.AppenderOptions{})
	var last *runstore.Pending
	for number := range 1000 {
		last, err = appender.Append(ctx, run, runstore.NewEvent{
			Type: "token", Payload: runstore.JSONOf(number),
		})
		if err != nil {
			log.Fatal(err)
		}
	}
	if err := appender.Close(); err != nil { // all of them are answered
		log.Fatal(err)
	}
	appended, err := last.Wait(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("last seq:", appended.Seq)
	// Output: last seq: 1000
}
