package main

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
)

// serveRspamd answers POST /checkv2 as rspamd does.
func serveRspamd(socket string, j journal) error {
	_ = os.Remove(socket) // of the one that was killed
	l, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	return http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		content, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 64<<20))
		if err != nil {
			return
		}
		mark, _, err := markOf(content)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		work()
		if err := j.note(mark); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{
			"action": "no action", "score": 1.5, "required_score": 15, "symbols": map[string]any{},
			"milter": map[string]any{"add_headers": map[string]any{"X-Scan-Rspamd": map[string]any{"value": mark}}},
		})
	}))
}
