package runstore

import "github.com/google/uuid"

// newID is a UUIDv7: nobody else has it, and ids sort by the time they were made in.
func newID() string { return uuid.Must(uuid.NewV7()).String() }
