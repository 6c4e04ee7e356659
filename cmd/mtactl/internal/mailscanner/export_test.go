package mailscanner

// WithStep is o with a function that is told before each step of a message.
func WithStep(o Options, step func(string)) Options {
	o.step = step
	return o
}

// Steps are the names it is told, in the order they come in.
func Steps() []string { return []string{"write", "rename", "wait", "read", "remove", "send"} }
