package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestNoInodes is TestFullDisk with room for octets, and none for files.
func TestNoInodes(t *testing.T) {
	d := newSmallDisk(t, 200<<20, "-N", "64")
	hop := newNextHop(t)
	d.start(hop.addr)
	var sent []string
	for i := range 20 {
		sent = append(sent, d.mustAccept(fmt.Sprintf("before-%d", i)))
	}
	names := d.eatInodes()
	d.kill()
	d.start(hop.addr)
	reply, err := d.send("probe", true)
	if err != nil || !strings.HasPrefix(reply, "45") && !strings.HasPrefix(reply, "250") {
		t.Errorf("started without inodes: reply %q, %v", reply, err)
	}
	for _, name := range names {
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
	d.awaitReply("250", 2*time.Second)
	d.arrive(hop, sent)
}

// TestDiskErrors runs mtad on a device that fails and comes back: transient
// refusals within a second, service soon after the errors end, and all that was
// acknowledged is there, also for a process that starts afterwards.
func TestDiskErrors(t *testing.T) {
	// Without a journal, so that the file system itself goes on.
	d := newSmallDisk(t, 200<<20, "-O", "^has_journal")
	hop := newNextHop(t)
	d.start(hop.addr)
	var sent []string
	for i := range 20 {
		sent = append(sent, d.mustAccept(fmt.Sprintf("before-%d", i)))
	}
	heal := d.fail()
	// Writes go on well until one of them falls into the part that is gone.
	d.awaitReply("45", 20*time.Second)
	if _, err := d.request("GET", "/v1/status", ""); err != nil {
		t.Errorf("status while the disk fails: %v", err)
	}
	heal()
	d.awaitReply("250", 2*time.Second)
	sent = append(sent, d.mustAccept("after"))
	d.kill()
	d.start(hop.addr)
	d.arrive(hop, sent)
}

// eatInodes makes empty files until there is no inode left.
func (d *smallDisk) eatInodes() (names []string) {
	d.t.Helper()
	for {
		name := filepath.Join(d.mount, fmt.Sprintf("inode-%d", len(names)))
		f, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY, 0o600)
		if errors.Is(err, syscall.ENOSPC) {
			return names
		}
		if err != nil {
			d.t.Fatal(err)
		}
		f.Close()
		names = append(names, name)
	}
}

// fail takes the end of the device away, so that I/O there is an error; heal
// brings it back as it was.
func (d *smallDisk) fail() (heal func()) {
	d.t.Helper()
	const left = 1 << 20
	out, err := exec.Command("findmnt", "-n", "-o", "SOURCE", d.mount).Output()
	if err != nil {
		d.t.Skipf("no device to be found: %v", err)
	}
	device := strings.TrimSpace(string(out))
	kept := d.image + ".kept"
	d.copy(kept, d.image)
	info, err := os.Stat(kept)
	if err != nil {
		d.t.Fatal(err)
	}
	d.resize(device, left)
	return func() {
		d.t.Helper()
		// What the first part took in the meantime stays.
		d.copyFrom(kept, d.image, left)
		d.resize(device, info.Size())
	}
}

func (d *smallDisk) resize(device string, size int64) {
	d.t.Helper()
	if err := os.Truncate(d.image, size); err != nil {
		d.t.Fatal(err)
	}
	d.command("losetup", "-c", device)
}

func (d *smallDisk) copy(to, from string) {
	d.t.Helper()
	if err := os.WriteFile(to, nil, 0o600); err != nil {
		d.t.Fatal(err)
	}
	d.copyFrom(from, to, 0)
}

// copyFrom writes what from has behind an offset to the same place of to.
func (d *smallDisk) copyFrom(from, to string, offset int64) {
	d.t.Helper()
	in, err := os.Open(from)
	if err != nil {
		d.t.Fatal(err)
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY, 0)
	if err != nil {
		d.t.Fatal(err)
	}
	defer out.Close()
	w := io.NewOffsetWriter(out, offset)
	if _, err := io.Copy(w, io.NewSectionReader(in, offset, 1<<40)); err != nil {
		d.t.Fatal(err)
	}
}

// arrive opens the next hop and waits until everything was delivered.
func (d *smallDisk) arrive(hop *nextHop, sent []string) {
	d.t.Helper()
	hop.open()
	d.post("/v1/queue/jobs", `{"filter":"","action":"flush"}`)
	d.awaitEmpty(30 * time.Second)
	for _, mark := range sent {
		if !hop.got(mark) {
			d.t.Errorf("%s was acknowledged and did not arrive", mark)
		}
	}
}
