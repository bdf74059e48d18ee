package runstore

import (
	"iter"
	"math"
)

// pages yields the items of all pages, fetching one after the other. Each range over it starts from
// the first page.
func pages[Item any](fetch func(token string) ([]Item, string, error)) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		for token := ""; ; {
			items, next, err := fetch(token)
			if err != nil {
				var none Item
				yield(none, err)
				return
			}
			for _, item := range items {
				if !yield(item, nil) {
					return
				}
			}
			if next == "" {
				return
			}
			token = next
		}
	}
}

// int32Of returns a number for a field of 32 bits. One that does not fit becomes one that the server
// refuses.
func int32Of(number int) int32 { return int32(max(math.MinInt32, min(number, math.MaxInt32))) }

// mapped converts each item; nil for none.
func mapped[Message, Value any](messages []Message, value func(Message) Value) []Value {
	if len(messages) == 0 {
		return nil
	}
	values := make([]Value, len(messages))
	for index, message := range messages {
		values[index] = value(message)
	}
	return values
}
