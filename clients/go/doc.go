// Package runstore is the client of runstore, the durable record of agent runs.
//
//	client, err := runstore.Dial("localhost:7411", runstore.WithProject("acme/search"))
//	run, err := client.SaveRun(ctx, runstore.NewRun{Objective: "answer the question"})
//	_, err = run.Append(ctx, runstore.NewEvent{Type: "tool.called", Tool: "search"})
//
// Every write carries ids made by the client, so that it is retried safely: a call that fails as
// unavailable or overloaded is sent again with growing delays until the context's deadline, or the
// client's timeout where the context has none. A stream of events opens itself again after the last
// event it delivered, so that each event is seen once, in order, over server restarts.
//
// Every failure of a call is an *[Error], and each reason of the contract has a type of its own:
//
//	var fenced *runstore.WriterFencedError
//	if errors.As(err, &fenced) {
//		return // a later resume claimed the run: stop writing
//	}
//
// The zero value of an optional field means that it is left out. A Client, a Run and the values
// they return are safe to share between goroutines.
package runstore
