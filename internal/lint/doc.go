// Package lint holds tests about the source itself: which package may import
// which, and what no file may contain.
package lint
