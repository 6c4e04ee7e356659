package auth

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/xdg-go/scram"
)

// channel is a TLS connection: what the server knows of it, and the client.
type channel struct {
	server Peer
	client tls.ConnectionState
	leaf   *tls.Certificate
}

// newCert makes a certificate; parent nil signs itself.
func newCert(t testing.TB, tmpl *x509.Certificate, parent *tls.Certificate) *tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl.SerialNumber = big.NewInt(time.Now().UnixNano())
	if tmpl.NotAfter.IsZero() {
		tmpl.NotBefore, tmpl.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	}
	signer, signKey := tmpl, any(key)
	if parent != nil {
		signer, signKey = parent.Leaf, parent.PrivateKey
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, signer, &key.PublicKey, signKey)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// newChannel shakes hands; client is the client's certificate, if any.
func newChannel(t testing.TB, client *tls.Certificate, version uint16) *channel {
	t.Helper()
	leaf := newCert(t, &x509.Certificate{Subject: pkix.Name{CommonName: "mx.test"}, DNSNames: []string{"mx.test"}}, nil)
	a, b := net.Pipe()
	srv := tls.Server(a, &tls.Config{Certificates: []tls.Certificate{*leaf}, ClientAuth: tls.RequestClientCert, MaxVersion: version})
	cfg := &tls.Config{InsecureSkipVerify: true} // the test holds both ends
	if client != nil {
		cfg.Certificates = []tls.Certificate{*client}
	}
	cli := tls.Client(b, cfg)
	done := make(chan error, 1)
	go func() { done <- cli.Handshake() }()
	if err := srv.Handshake(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close(); b.Close() })
	state := srv.ConnectionState()
	return &channel{server: Peer{TLS: &state, Leaf: leaf}, client: cli.ConnectionState(), leaf: leaf}
}

// scramClient speaks the client's side; change may spoil a message by its
// number.
func scramClient(t testing.TB, x Exchange, conv *scram.ClientConversation, change func(step int, msg string) string) error {
	t.Helper()
	ctx := context.Background()
	msg, err := conv.Step("")
	if err != nil {
		t.Fatal(err)
	}
	for step := range 2 {
		if change != nil {
			msg = change(step, msg)
		}
		challenge, done, err := x.Next(ctx, []byte(msg))
		if err != nil {
			return err
		}
		msg, err = conv.Step(string(challenge))
		if err != nil {
			t.Fatalf("client does not take %q: %v", challenge, err)
		}
		if done {
			if !conv.Valid() {
				t.Fatal("the server did not prove that it knows the keys")
			}
			return nil
		}
	}
	t.Fatal("not done after two steps")
	return nil
}

func TestSCRAM(t *testing.T) {
	local := &Local{File: openFile(t, "", "ann:"+keysOf(t, "secret"), "bob,x=y:"+keysOf(t, "other")), Offer: []string{Scram, ScramPlus}}
	ch := newChannel(t, nil, 0)
	client := func(user, password string) *scram.Client {
		c, err := scram.SHA256.NewClient(user, password, "")
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	exporter, err := scram.NewTLSExporterBinding(&ch.client)
	if err != nil {
		t.Fatal(err)
	}
	endpoint, err := scram.NewTLSServerEndpointBinding(&ch.client)
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := scram.NewTLSExporterBinding(&newChannel(t, nil, 0).client)
	if err != nil {
		t.Fatal(err)
	}
	replace := func(at int, old, with string) func(int, string) string {
		return func(step int, msg string) string {
			if step == at {
				return strings.Replace(msg, old, with, 1)
			}
			return msg
		}
	}
	ann := client("ann", "secret")
	for name, c := range map[string]struct {
		mechanism string
		conv      *scram.ClientConversation
		change    func(int, string) string
		passes    bool
	}{
		"plain":                            {Scram, ann.NewConversation(), nil, true},
		"name with comma and equals sign":  {Scram, client("bob,x=y", "other").NewConversation(), nil, true},
		"wrong password":                   {Scram, client("ann", "Secret").NewConversation(), nil, false},
		"no such login":                    {Scram, client("eve", "secret").NewConversation(), nil, false},
		"bound by exporter":                {ScramPlus, ann.NewConversationWithChannelBinding(exporter), nil, true},
		"bound by certificate":             {ScramPlus, ann.NewConversationWithChannelBinding(endpoint), nil, true},
		"bound to another channel":         {ScramPlus, ann.NewConversationWithChannelBinding(foreign), nil, false},
		"PLUS without binding":             {ScramPlus, ann.NewConversation(), nil, false},
		"binding without PLUS":             {Scram, ann.NewConversationWithChannelBinding(exporter), nil, false},
		"PLUS was hidden from the client":  {Scram, ann.NewConversationAdvertisingChannelBinding(), nil, false},
		"flag changed on the way":          {ScramPlus, ann.NewConversationWithChannelBinding(exporter), replace(0, "p=tls-exporter", "n"), false},
		"kind of binding that is not here": {ScramPlus, ann.NewConversationWithChannelBinding(exporter), replace(0, "p=tls-exporter", "p=tls-unique"), false},
		"nonce changed":                    {Scram, ann.NewConversation(), replace(1, ",r=", ",r=x"), false},
		"nonce cut":                        {Scram, ann.NewConversation(), func(step int, msg string) string { return cutNonce(step, msg) }, false},
		"somebody else's name":             {Scram, ann.NewConversation(), replace(0, "n=ann", "n=bob"), false},
		"authorization as somebody else":   {Scram, ann.NewConversation(), replace(0, "n,,", "n,a=bob,"), false},
		"mandatory extension":              {Scram, ann.NewConversation(), replace(0, "n=ann", "m=x,n=ann"), false},
		"empty proof": {Scram, ann.NewConversation(), func(step int, msg string) string {
			p, _, _ := strings.Cut(msg, ",p=")
			return map[int]string{0: msg, 1: p + ",p="}[step]
		}, false},
		"proof of zeroes": {Scram, ann.NewConversation(), func(step int, msg string) string {
			p, _, _ := strings.Cut(msg, ",p=")
			return map[int]string{0: msg, 1: p + ",p=" + base64.StdEncoding.EncodeToString(make([]byte, 32))}[step]
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			p := ch.server
			x, err := local.Begin(t.Context(), c.mechanism, &p)
			if err != nil {
				t.Fatal(err)
			}
			err = scramClient(t, x, c.conv, c.change)
			if (err == nil) != c.passes {
				t.Errorf("got %v, want passed %v", err, c.passes)
			}
		})
	}
}

// cutNonce leaves the server's part away.
func cutNonce(step int, msg string) string {
	if step == 0 {
		return msg
	}
	head, rest, _ := strings.Cut(msg, ",r=")
	_, proof, _ := strings.Cut(rest, ",p=")
	return head + ",r=" + rest[:8] + ",p=" + proof
}

func TestSCRAMMessagesCannotBeReplayed(t *testing.T) {
	local := &Local{File: openFile(t, "", "ann:"+keysOf(t, "secret"))}
	ann, err := scram.SHA256.NewClient("ann", "secret", "")
	if err != nil {
		t.Fatal(err)
	}
	var heard [2]string
	x, _ := local.Begin(t.Context(), Scram, &Peer{})
	if err := scramClient(t, x, ann.NewConversation(), func(i int, msg string) string { heard[i] = msg; return msg }); err != nil {
		t.Fatal(err)
	}
	again, _ := local.Begin(t.Context(), Scram, &Peer{})
	if _, _, err := again.Next(t.Context(), []byte(heard[0])); err != nil {
		t.Fatal(err)
	}
	if _, done, err := again.Next(t.Context(), []byte(heard[1])); err == nil || done {
		t.Error("the messages of an earlier exchange were taken")
	}
}

// TestSCRAMDoesNotTellWhoExists compares what the server says first: salt and
// iterations of somebody who does not exist look like those of others, and stay
// the same.
func TestSCRAMDoesNotTellWhoExists(t *testing.T) {
	local := &Local{File: openFile(t, "", "ann:"+keysOf(t, "secret"))}
	first := func(name string) (salt, iterations string) {
		x, _ := local.Begin(t.Context(), Scram, &Peer{})
		challenge, done, err := x.Next(t.Context(), []byte("n,,n="+name+",r=abc"))
		if err != nil || done {
			t.Fatalf("%s: %v", name, err)
		}
		f := strings.Split(string(challenge), ",")
		return f[1], f[2]
	}
	annSalt, annIterations := first("ann")
	salt, iterations := first("eve")
	if len(salt) != len(annSalt) || iterations != annIterations || salt == annSalt {
		t.Errorf("eve has %s %s, ann %s %s", salt, iterations, annSalt, annIterations)
	}
	if again, _ := first("eve"); again != salt {
		t.Error("the salt of who does not exist changes")
	}
}

func TestSCRAMIsOfferedWhenEverybodyHasKeys(t *testing.T) {
	all := &Local{File: openFile(t, "", "ann:"+keysOf(t, "secret"))}
	hash, err := Hash("sha512-crypt", "x")
	if err != nil {
		t.Fatal(err)
	}
	some := &Local{File: openFile(t, "", "ann:"+keysOf(t, "secret"), "bob:"+hash)}
	forced := &Local{File: some.File, Offer: []string{Scram, Plain}}
	bound := &Local{File: all.File, Offer: []string{ScramPlus, Plain}}
	p := newChannel(t, nil, 0).server
	for _, c := range []struct {
		l    *Local
		p    Peer
		want string
	}{
		{all, p, "SCRAM-SHA-256 PLAIN LOGIN"},
		{bound, p, "SCRAM-SHA-256-PLUS PLAIN"},
		{bound, Peer{}, "PLAIN"},
		{all, Peer{}, "SCRAM-SHA-256 PLAIN LOGIN"},
		{some, p, "PLAIN LOGIN"},
		{forced, p, "SCRAM-SHA-256 PLAIN"},
	} {
		if got := strings.Join(c.l.Mechanisms(t.Context(), &c.p), " "); got != c.want {
			t.Errorf("got %s, want %s", got, c.want)
		}
	}
}

func TestWithoutTLSNothingIsBound(t *testing.T) {
	if got := bindings(&Peer{}); got != nil {
		t.Errorf("got %v", got)
	}
}
