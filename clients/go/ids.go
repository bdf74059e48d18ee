package runstore

import "github.com/google/uuid"

// newID returns a UUIDv7: unique, and ordered by creation time.
func newID() string { return uuid.Must(uuid.NewV7()).String() }
