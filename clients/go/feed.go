package runstore

import (
	"cmp"
	"context"
	"iter"
	"time"

	runstorev1 "github.com/runstore/runstore/clients/go/v1"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"
)

// Feed is the events of all runs of a project in the order of their publication.
type Feed struct {
	client  *Client
	service runstorev1.FeedServiceClient
}

// FeedEntry is a published event with its position among the events of all runs.
type FeedEntry struct {
	// Position counts over all projects of the database, so a project's positions have gaps.
	Position    int64
	RunID       string
	Event       *Event
	PublishedAt time.Time
}

// FeedMark says that every selected entry up to Position was delivered. Position may be committed.
type FeedMark struct {
	Position int64
	// IsLive means that the stream has just reached the end of the feed; otherwise the mark is a
	// heartbeat.
	IsLive bool
}

// FeedItem is an item of the followed feed: a *[FeedEntry] or a [FeedMark].
type FeedItem interface{ feedItem() }

func (*FeedEntry) feedItem() {}
func (FeedMark) feedItem()   {}

// FeedFilter selects entries; conditions are joined by AND.
type FeedFilter struct {
	// Types selects events of any of them, Tags events with all of them.
	Types []string
	Tags  []string
	// Labels selects events of runs that were saved with all of them.
	Labels map[string]string
}

// ReadFeedOptions says which entries to read.
type ReadFeedOptions struct {
	// FromPosition is inclusive; 0 and 1 both mean the beginning.
	FromPosition int64
	Filter       FeedFilter
	// PageSize is the most entries of the page; 0 leaves it to the server.
	PageSize int
	// AllowGaps leaves out entries that are archived; else they are [*EventsArchivedError].
	AllowGaps bool
}

// FeedPage is a page of entries in order of position.
type FeedPage struct {
	Entries []*FeedEntry
	// NextPosition is the FromPosition of the next page.
	NextPosition int64
	// LastPosition is that of the project's newest entry; if NextPosition is greater, the page reached the end.
	LastPosition int64
}

// FollowFeedOptions says what to follow and from where.
type FollowFeedOptions struct {
	// FromPosition is inclusive and may be beyond the end. Leave it out with Consumer.
	FromPosition int64
	// Consumer starts after the position that it has committed. Following commits nothing.
	Consumer string
	Filter   FeedFilter
	// AllowGaps leaves out entries that are archived; else they are [*EventsArchivedError].
	AllowGaps bool
	// Heartbeat is how often a stream shows that it is alive; 0 means every 10 seconds. A stream
	// that is silent three times as long is reopened.
	Heartbeat time.Duration
	// Patience is how long to keep retrying, from the first failure after a message, before the
	// error is yielded; 0 means a minute.
	Patience time.Duration
}

// Consumer is a named reader of the feed.
type Consumer struct {
	Name string
	// Position is the last one that it has processed.
	Position int64
	// LastPosition is that of the project's newest entry.
	LastPosition int64
	CreatedAt    time.Time
	CommittedAt  time.Time
}

// Feed returns the project's feed.
func (c *Client) Feed() *Feed {
	return &Feed{client: c, service: runstorev1.NewFeedServiceClient(c.conn)}
}

// Read returns a page of entries; the next one begins at its NextPosition.
func (f *Feed) Read(ctx context.Context, options ReadFeedOptions) (*FeedPage, error) {
	response, err := send(ctx, f.client, f.service.ReadFeed, &runstorev1.ReadFeedRequest{
		Project:      f.client.project,
		FromPosition: options.FromPosition,
		PageSize:     int32Of(options.PageSize),
		Filter:       options.Filter.message(),
		AllowGaps:    options.AllowGaps,
	})
	if err != nil {
		return nil, err
	}
	return &FeedPage{
		Entries:      mapped(response.Entries, feedEntryOf),
		NextPosition: response.NextPosition,
		LastPosition: response.LastPosition,
	}, nil
}

// Entries yields entries from a position on, or after the one that a consumer committed: each once
// and in order, without end, across lost connections and server restarts. If it fails for good, or
// ctx ends, the last pair holds the error.
func (f *Feed) Entries(
	ctx context.Context, options FollowFeedOptions,
) iter.Seq2[*FeedEntry, error] {
	return itemsOf[*FeedEntry](f.Follow(ctx, options))
}

// Follow is Entries with marks between them, which say how far the stream has got.
func (f *Feed) Follow(ctx context.Context, options FollowFeedOptions) iter.Seq2[FeedItem, error] {
	options.Heartbeat = cmp.Or(options.Heartbeat, defaultHeartbeat)
	options.Patience = cmp.Or(options.Patience, defaultPatience)
	return stream(ctx, f.client, options.Heartbeat, options.Patience,
		func() streamState[runstorev1.FollowFeedResponse, FeedItem] {
			return &feedStream{feed: f, options: options, nextPosition: options.FromPosition}
		})
}

// Commit records that a consumer has processed every entry up to position.
func (f *Feed) Commit(ctx context.Context, consumer string, position int64) (*Consumer, error) {
	response, err := send(ctx, f.client, f.service.CommitPosition, &runstorev1.CommitPositionRequest{
		Project: f.client.project, Consumer: consumer, Position: position,
	})
	if err != nil {
		return nil, err
	}
	return consumerOf(response.Consumer), nil
}

// Reset moves a consumer back or forward; 0 starts over.
func (f *Feed) Reset(ctx context.Context, consumer string, position int64) (*Consumer, error) {
	response, err := send(ctx, f.client, f.service.ResetConsumer, &runstorev1.ResetConsumerRequest{
		Project: f.client.project, Consumer: consumer, Position: position,
	})
	if err != nil {
		return nil, err
	}
	return consumerOf(response.Consumer), nil
}

// Consumer returns one consumer. Before its first commit it fails with [*ConsumerNotFoundError].
func (f *Feed) Consumer(ctx context.Context, name string) (*Consumer, error) {
	response, err := send(ctx, f.client, f.service.GetConsumer, &runstorev1.GetConsumerRequest{
		Project: f.client.project, Consumer: name,
	})
	if err != nil {
		return nil, err
	}
	return consumerOf(response.Consumer), nil
}

// Consumers yields the project's consumers by name. If it fails, the last pair holds the error.
func (f *Feed) Consumers(ctx context.Context) iter.Seq2[*Consumer, error] {
	return pages(func(token string) ([]*Consumer, string, error) {
		response, err := send(ctx, f.client, f.service.ListConsumers, &runstorev1.ListConsumersRequest{
			Project: f.client.project, PageToken: token,
		})
		return mapped(response.GetConsumers(), consumerOf), response.GetNextPageToken(), err
	})
}

// feedStream is how far a stream of the feed has got. It starts from the consumer's committed
// position until something was delivered, and from there afterwards, committed or not.
type feedStream struct {
	feed         *Feed
	options      FollowFeedOptions
	nextPosition int64
}

func (f *feedStream) open(
	ctx context.Context,
) (grpc.ServerStreamingClient[runstorev1.FollowFeedResponse], error) {
	request := &runstorev1.FollowFeedRequest{
		Project:           f.feed.client.project,
		FromPosition:      f.nextPosition,
		Filter:            f.options.Filter.message(),
		AllowGaps:         f.options.AllowGaps,
		HeartbeatInterval: durationpb.New(f.options.Heartbeat),
	}
	if f.nextPosition == 0 {
		request.Consumer = f.options.Consumer
	}
	return openStream(ctx, f.feed.service.FollowFeed, request)
}

func (f *feedStream) take(
	message *runstorev1.FollowFeedResponse, yield func(FeedItem, error) bool,
) (isWanted bool, err error) {
	switch kind := message.Message.(type) {
	case *runstorev1.FollowFeedResponse_Entries:
		for _, entry := range kind.Entries.Entries {
			if entry.Position < f.nextPosition {
				continue
			}
			f.nextPosition = entry.Position + 1
			if !yield(feedEntryOf(entry), nil) {
				return false, nil
			}
		}
	case *runstorev1.FollowFeedResponse_CaughtUp:
		return yield(f.mark(kind.CaughtUp.Position, true), nil), nil
	case *runstorev1.FollowFeedResponse_Heartbeat:
		return yield(f.mark(kind.Heartbeat.Position, false), nil), nil
	}
	return true, nil
}

func (f *feedStream) mark(position int64, isLive bool) FeedMark {
	f.nextPosition = max(f.nextPosition, position+1)
	return FeedMark{Position: position, IsLive: isLive}
}

func (f *feedStream) hasEnded() bool { return false }

func (f *feedStream) ended() error {
	return protocolError("the server ended a stream of the feed, which never ends")
}

func (f FeedFilter) message() *runstorev1.FeedFilter {
	return &runstorev1.FeedFilter{Types: f.Types, Tags: f.Tags, Labels: f.Labels}
}

func feedEntryOf(message *runstorev1.FeedEntry) *FeedEntry {
	return &FeedEntry{
		Position:    message.Position,
		RunID:       message.RunId,
		Event:       eventOf(message.Event),
		PublishedAt: timeOf(message.PublishedAt),
	}
}

func consumerOf(message *runstorev1.Consumer) *Consumer {
	return &Consumer{
		Name:         message.GetName(),
		Position:     message.GetPosition(),
		LastPosition: message.GetLastPosition(),
		CreatedAt:    timeOf(message.GetCreatedAt()),
		CommittedAt:  timeOf(message.GetCommittedAt()),
	}
}
