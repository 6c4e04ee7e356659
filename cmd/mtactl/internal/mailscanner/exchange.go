package mailscanner

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// exchange is the two directories.
type exchange struct {
	in, out string
	step    func(string) // Options.step
}

func (x *exchange) inPath(name string) string  { return filepath.Join(x.in, name) }
func (x *exchange) outPath(name string) string { return filepath.Join(x.out, name) }

// check finds out early what would keep the bridge from working.
func (x *exchange) check() error {
	for _, dir := range []string{x.in, x.out} {
		st, err := os.Stat(dir)
		switch {
		case err != nil:
			return fmt.Errorf("mailscanner: %w", err)
		case !st.IsDir():
			return fmt.Errorf("mailscanner: %s is no directory", dir)
		}
		const readWriteSearch = 4 | 2 | 1
		if err := syscall.Access(dir, readWriteSearch); err != nil {
			return fmt.Errorf("mailscanner: %s: files have to be read, made and removed there: %w", dir, err)
		}
	}
	return nil
}

// put writes the message of a claim into in/, where MailScanner sees it as a whole or
// not at all: under a name that it passes over, synced, renamed, the directory synced.
func (x *exchange) put(ctx context.Context, s *sent, m original) (err error) {
	temp := x.inPath("temp-" + s.name)
	f, err := os.OpenFile(temp, os.O_CREATE|os.O_EXCL|os.O_WRONLY|syscall.O_NOFOLLOW, 0o660)
	if err != nil {
		return fmt.Errorf("mailscanner: %w", err)
	}
	defer func() {
		if err != nil {
			_ = os.Remove(temp)
		}
	}()
	if err = errors.Join(writeMessage(ctx, f, s, m), f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("mailscanner: %w", err)
	}
	x.step("rename")
	if err = os.Rename(temp, x.inPath(s.name)); err != nil {
		return fmt.Errorf("mailscanner: %w", err)
	}
	return syncDir(x.in)
}

func writeMessage(ctx context.Context, f io.Writer, s *sent, m original) error {
	w := bufio.NewWriterSize(f, 64<<10)
	s.write(w)
	_, _ = w.Write(s.preamble) // bufio keeps the error for Flush
	body, err := m.Open(ctx, false)
	if err != nil {
		return err
	}
	defer body.Close()
	if _, err := io.Copy(w, newNormal(body, toLF)); err != nil {
		return err
	}
	return w.Flush()
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("mailscanner: %w", err)
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("mailscanner: %w", err)
	}
	return nil
}

// outcome is how far MailScanner is with a message.
type outcome int

const (
	pending  outcome = iota // in/NAME is there
	answered                // out/NAME is there
	vanished                // neither
)

// look reads the state of a name. MailScanner makes out/NAME before it removes
// in/NAME, so out/ is asked once more when in/ has nothing. An error is no state.
func (x *exchange) look(name string) (outcome, error) {
	for _, then := range []struct {
		path string
		is   outcome
	}{{x.outPath(name), answered}, {x.inPath(name), pending}, {x.outPath(name), answered}} {
		x.step("look")
		_, err := os.Lstat(then.path)
		if err == nil {
			return then.is, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return pending, fmt.Errorf("mailscanner: %w", err)
		}
	}
	// A directory that was taken away has no files either.
	for _, dir := range []string{x.in, x.out} {
		if _, err := os.Stat(dir); err != nil {
			return pending, fmt.Errorf("mailscanner: %w", err)
		}
	}
	return vanished, nil
}

// withdraw removes in/NAME unless MailScanner has it. It reports whether it is gone.
// MailScanner may have opened the file before and lock it afterwards: the answer of
// that comes to nobody and is swept away.
func (x *exchange) withdraw(name string) bool { return removeUnlocked(x.inPath(name)) }

// removeUnlocked removes a file that nobody has locked, under that lock.
func removeUnlocked(path string) bool {
	f, err := os.OpenFile(path, os.O_RDWR|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return true
	}
	if err != nil {
		return false
	}
	defer f.Close()
	return tryLock(f) && os.Remove(path) == nil
}

// openAnswer opens out/NAME. What is no plain file is no answer.
func (x *exchange) openAnswer(name string) (*os.File, error) {
	f, err := os.OpenFile(x.outPath(name), os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("mailscanner: %w", err)
	}
	if st, err := f.Stat(); err != nil || !st.Mode().IsRegular() {
		f.Close()
		return nil, errors.New("mailscanner: the answer is no plain file")
	}
	return f, nil
}
