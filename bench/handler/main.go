// Command handler is the benchmark's web handler: it reads each message whole and
// accepts it. Its argument is the address that it listens on.
package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"time"
)

func main() {
	s := &http.Server{Addr: os.Args[1], ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(accept)}
	fmt.Fprintln(os.Stderr, "handler:", s.ListenAndServe())
	os.Exit(1)
}

func accept(w http.ResponseWriter, r *http.Request) {
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, `{"disposition":"accept"}`)
}
