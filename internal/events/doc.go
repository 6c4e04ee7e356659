// Package events turns the events of a queue.Queue into those that the world is
// told of: their types, their JSON, and IDs by which a reader goes on where it
// was. spec/events.md is the same for who implements the other side.
//
// # Promises
//
// At least once: a Reader that is opened after the ID of an event gives every
// later one; one message's events come in order. Every event told is on stable
// storage. What the queue does not keep any more is not skipped in silence: an
// event of type gap says so. No event holds content of a message.
//
// # Bounds
//
// An event names at most queue.MaxEventRecipients recipients; a Reader holds one
// batch of the queue's events, whoever reads slowly.
package events
