package runstore

import (
	"context"
	"iter"
	"strings"
	"time"

	runstorev1 "github.com/runstore/runstore/clients/go/v1"
	"google.golang.org/protobuf/types/known/durationpb"
)

// SearchOptions say which events to search and in which order; an event must meet all conditions.
type SearchOptions struct {
	// RunIDs, Types and NodeIDs select events with any of them, Tags events with all of them.
	RunIDs  []string
	Types   []string
	NodeIDs []string
	Tags    []string
	Model   string
	Tool    string
	// RecordedFrom is inclusive, RecordedBefore exclusive.
	RecordedFrom   time.Time
	RecordedBefore time.Time
	// NewestFirst yields all matches; otherwise the newest 1000 are yielded, best first.
	NewestFirst bool
	// WithEvents fetches the events themselves too.
	WithEvents bool
	// After is an event that must be searchable before the search answers.
	After *EventPlace
	// MinPosition is a position of the feed that must be searchable before the search answers.
	MinPosition int64
	// Wait is how long to wait for them, at most 30 seconds and within the call's deadline; 0 means
	// the server's default. After that it fails with [*SearchBehindError].
	Wait time.Duration
	// NoWait fails at once instead of waiting: a Wait of zero seconds.
	NoWait bool
	// PageSize is how many hits are fetched at once; 0 means the server's default.
	PageSize int
}

// EventPlace names an event by its run and the seq that its append returned.
type EventPlace struct {
	RunID string
	Seq   int64
}

// SearchHit is an event that matched.
type SearchHit struct {
	RunID      string
	Seq        int64
	Position   int64
	Rank       float32
	RecordedAt time.Time
	Snippet    string
	Highlights []Highlight
	// Event is nil without WithEvents.
	Event *Event
}

// Highlight is a range of a snippet, in characters (runes).
type Highlight struct{ Start, Length int }

// Marked returns the snippet with markers around the matches.
func (h *SearchHit) Marked(start, stop string) string {
	snippet := []rune(h.Snippet)
	var marked strings.Builder
	done := 0
	for _, each := range h.Highlights {
		end := each.Start + each.Length
		marked.WriteString(string(snippet[done:each.Start]))
		marked.WriteString(start + string(snippet[each.Start:end]) + stop)
		done = end
	}
	marked.WriteString(string(snippet[done:]))
	return marked.String()
}

// SearchEvents yields the events that match, best first unless the options say otherwise. A query
// is words, "a phrase" in quotes, a OR b, -word. If it fails, the last pair holds the error.
func (c *Client) SearchEvents(
	ctx context.Context, query string, options SearchOptions,
) iter.Seq2[*SearchHit, error] {
	return pages(func(token string) ([]*SearchHit, string, error) {
		response, err := send(ctx, c, c.service.SearchEvents, options.request(c.project, query, token))
		return mapped(response.GetHits(), searchHitOf), response.GetNextPageToken(), err
	})
}

func (o SearchOptions) request(project, query, token string) *runstorev1.SearchEventsRequest {
	request := &runstorev1.SearchEventsRequest{
		Project: project,
		Query:   query,
		Filter: &runstorev1.SearchFilter{
			RunIds:             o.RunIDs,
			Types:              o.Types,
			NodeIds:            o.NodeIDs,
			Model:              o.Model,
			Tool:               o.Tool,
			Tags:               o.Tags,
			RecordedFromTime:   timestamp(o.RecordedFrom),
			RecordedBeforeTime: timestamp(o.RecordedBefore),
		},
		Order:       runstorev1.SearchOrder_SEARCH_ORDER_RANK,
		PageSize:    int32Of(o.PageSize),
		PageToken:   token,
		WithEvents:  o.WithEvents,
		MinPosition: o.MinPosition,
		After:       o.After.message(),
		Wait:        waiting(o.Wait, o.NoWait),
	}
	if o.NewestFirst {
		request.Order = runstorev1.SearchOrder_SEARCH_ORDER_NEWEST
	}
	return request
}

func (p *EventPlace) message() *runstorev1.EventPlace {
	if p == nil {
		return nil
	}
	return &runstorev1.EventPlace{RunId: p.RunID, Seq: p.Seq}
}

// waiting returns how long to wait; nil means the server's default.
func waiting(wait time.Duration, noWait bool) *durationpb.Duration {
	if wait == 0 && !noWait {
		return nil
	}
	return durationpb.New(wait)
}

func searchHitOf(message *runstorev1.SearchHit) *SearchHit {
	hit := &SearchHit{
		RunID:      message.RunId,
		Seq:        message.Seq,
		Position:   message.Position,
		Rank:       message.Rank,
		RecordedAt: timeOf(message.RecordedAt),
		Snippet:    message.Snippet,
		Highlights: mapped(message.Highlights, func(each *runstorev1.SearchHighlight) Highlight {
			return Highlight{Start: int(each.Start), Length: int(each.Length)}
		}),
	}
	if message.Event != nil {
		hit.Event = eventOf(message.Event)
	}
	return hit
}
