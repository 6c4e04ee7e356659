// Package config reads mtad's one configuration file: YAML, strictly.
//
// Load answers with a complete Config or with Problems: every fault found, each
// with file, line, column, a message and, where one can be given, a hint. Unknown
// and repeated keys, values of the wrong type, values out of bounds, references
// to names that do not exist and settings that void a promise without saying so
// in words are faults. Anchors, aliases, tags and a second document are refused:
// what stands in the file is what is meant.
//
// Every key has its default, bounds and description in one table (Keys), from
// which the defaults are taken and docs/configuration.md is written. An empty
// file is a working loopback system.
//
// The file is at most MaxFile octets. Lists and tables are bounded by that.
package config

//go:generate go run mtad/cmd/mtad config docs --output ../../docs/configuration.md
