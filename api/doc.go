// Package api is mtad's HTTP interface as openapi.yaml, written by hand, says
// it: models, client and strict server are generated from that file and never
// edited. The types of the filter protocol are those of filterproto.
//
// Everything under /v1 only grows. Error codes are those of spec/errors.json.
package api

//go:generate go run ./internal/gen
//go:generate go tool oapi-codegen -config models.yaml openapi.yaml
//go:generate go tool oapi-codegen -config client.yaml openapi.yaml
//go:generate go tool oapi-codegen -config server.yaml openapi.yaml
