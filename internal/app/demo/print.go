package demo

import (
	"fmt"
	"io"
	"sync"
)

// printer writes the story; several goroutines tell it.
type printer struct {
	mu   sync.Mutex
	w    io.Writer
	step int
}

// chapter begins the next step.
func (p *printer) chapter(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.step++
	fmt.Fprintf(p.w, "\n%d. %s\n", p.step, fmt.Sprintf(format, args...))
}

func (p *printer) line(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fmt.Fprintf(p.w, "   %s\n", fmt.Sprintf(format, args...))
}
