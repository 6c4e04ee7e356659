// Package telemetry makes what mtad is watched by: the logger, the registry of
// metrics, and the metrics of the store and the build. Other packages register
// their own metrics, all named mtad_…; docs/metrics.md lists every one.
package telemetry
