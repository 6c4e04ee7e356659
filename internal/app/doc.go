// Package app makes one mtad out of its packages: New wires them from a
// configuration, Start serves, Stop drains and closes in reverse order, within a
// bound. Two Apps can live in one process.
//
// # Start
//
// The spool is checked and locked first: a file system that forgets everything
// at a restart, a second process, and a store that cannot keep its promise are
// refused unless the configuration allows them in words; what was allowed is
// shown by Health and by the metric mtad_unsafe_setting. All sockets are bound by
// New, so that a port that is taken is an error of New and not of a goroutine.
//
// # Stop
//
// Listeners close; sessions end with 421 when their command or message is
// through; the queue manager ends its deliveries; then the API; the store is
// closed last. What is not finished within the grace is cut off: nothing that
// was acknowledged depends on it.
//
// # Reload
//
// A new configuration is checked as a whole, then what can change does, at once
// and for new sessions and deliveries; what cannot is reported by name and waits
// for a restart. A configuration with errors changes nothing.
package app
