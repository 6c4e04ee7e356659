package qmgr

// line is a list of destinations, each in one line at most.
type line struct {
	first, last *destination
	n           int
}

func (l *line) push(d *destination) {
	d.line, d.before, d.after = l, l.last, nil
	if l.last == nil {
		l.first = d
	} else {
		l.last.after = d
	}
	l.last = d
	l.n++
}

func (l *line) remove(d *destination) {
	if d.before == nil {
		l.first = d.after
	} else {
		d.before.after = d.after
	}
	if d.after == nil {
		l.last = d.before
	} else {
		d.after.before = d.before
	}
	d.line, d.before, d.after = nil, nil, nil
	l.n--
}
