package deliver_test

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	gosmtp "github.com/emersion/go-smtp"

	"mtad/internal/deliver"
	"mtad/queue"
)

// lean is a sink that does as little as it can.
func lean(b *testing.B) (addr string, got *atomic.Int64) {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	got = &atomic.Int64{}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go leanSession(c, got)
		}
	}()
	b.Cleanup(func() { _ = l.Close() })
	return l.Addr().String(), got
}

func leanSession(c net.Conn, got *atomic.Int64) {
	defer func() { _ = c.Close() }()
	r, w := bufio.NewReaderSize(c, 64<<10), bufio.NewWriter(c)
	_, _ = io.WriteString(c, "220 lean\r\n")
	data := false
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return
		}
		switch {
		case data && len(line) == 3 && line[0] == '.':
			data = false
			got.Add(1)
			_, _ = w.WriteString("250 2.0.0 ok\r\n")
		case data:
			continue
		case bytes.HasPrefix(line, []byte("EHLO")):
			_, _ = w.WriteString("250-lean\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SIZE\r\n")
		case bytes.HasPrefix(line, []byte("DATA")):
			data = true
			_, _ = w.WriteString("354 go\r\n")
		default:
			_, _ = w.WriteString("250 2.0.0 ok\r\n")
		}
		if r.Buffered() == 0 {
			_ = w.Flush()
		}
	}
}

var tenKB = "Subject: bench\r\n\r\n" + strings.Repeat(strings.Repeat("x", 70)+"\r\n", 142)

func benchRelay(b *testing.B, addr string) {
	r := relay(b, []string{addr}, func(o *deliver.RelayOptions) { o.MaxMessages = 1000 })
	b.SetBytes(int64(len(tenKB)))
	b.SetParallelism(25) // times 2 cores
	b.ReportAllocs()
	cpu := cpuTime(b)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if res := r.Deliver(context.Background(), job(tenKB, "a@hop.test")); res[0].Status != queue.Relayed {
				b.Error(show(res))
				return
			}
		}
	})
	report(b, cpu)
}

// cpuTime is what this process has used so far.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func report(b *testing.B, before time.Duration) {
	b.Helper()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msgs/s")
	b.ReportMetric(float64((cpuTime(b)-before).Microseconds())/float64(b.N), "cpu-µs/msg")
}

// BenchmarkRelay sends 10 KB messages over 50 connections to a sink in the same
// process, which costs as much again as the sending.
func BenchmarkRelay(b *testing.B) {
	addr, got := lean(b)
	benchRelay(b, addr)
	if got.Load() != int64(b.N) {
		b.Errorf("%d of %d came", got.Load(), b.N)
	}
}

// BenchmarkRelayToPostfixSink is the same against smtp-sink.
func BenchmarkRelayToPostfixSink(b *testing.B) {
	addr, _ := sink(b)
	benchRelay(b, addr)
}

// BenchmarkGoSMTPClient is go-smtp's client in our place, connections kept (ADR
// on the SMTP client).
func BenchmarkGoSMTPClient(b *testing.B) {
	addr, _ := lean(b)
	benchGoSMTP(b, addr)
}

// BenchmarkGoSMTPClientToPostfixSink is the same against smtp-sink.
func BenchmarkGoSMTPClientToPostfixSink(b *testing.B) {
	addr, _ := sink(b)
	benchGoSMTP(b, addr)
}

func benchGoSMTP(b *testing.B, addr string) {
	b.SetBytes(int64(len(tenKB)))
	b.SetParallelism(25)
	b.ReportAllocs()
	cpu := cpuTime(b)
	b.RunParallel(func(pb *testing.PB) {
		c, err := gosmtp.Dial(addr)
		if err != nil {
			b.Error(err)
			return
		}
		defer func() { _ = c.Close() }()
		for pb.Next() {
			if err := c.SendMail("from@client.test", []string{"a@hop.test"}, strings.NewReader(tenKB)); err != nil {
				b.Error(err)
				return
			}
		}
	})
	report(b, cpu)
}
