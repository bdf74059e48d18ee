package runstore

import "iter"

// pages yields what fetch returns for one page token after the other. It begins anew each time it is
// ranged over.
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

// mapped is each item as a value.
func mapped[Message, Value any](messages []Message, value func(Message) Value) []Value {
	if len(messages) == 0 {
		return nil
	}
	values := make([]Value, len(messages))
	for place, message := range messages {
		values[place] = value(message)
	}
	return values
}
