package httpapi

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"mtad/filterproto"
)

// dial opens a connection that gives up in the end, so that a test that fails
// does not hang.
func dial(t *testing.T, addr string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return c
}

// slowBody announces a body that never comes and returns the answer.
func slowBody(t *testing.T, r *rig, path, contentType string) *httptest.ResponseRecorder {
	t.Helper()
	addr, _, _, _ := r.run()
	c := dial(t, addr)
	fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: %s\r\nContent-Length: 1000\r\n\r\n{", path, r.tokens["virus"], contentType)
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	w := httptest.NewRecorder()
	w.Code = res.StatusCode
	if _, err := io.Copy(w.Body, res.Body); err != nil {
		t.Fatal(err)
	}
	return w
}

func TestASlowHeaderSectionIsCutOff(t *testing.T) {
	r := newRig(t, rigOptions{limits: Limits{HeaderTime: 50 * time.Millisecond}})
	addr, _, _, _ := r.run()
	c := dial(t, addr)
	io.WriteString(c, "GET /healthz HTTP/1.1\r\nHost: x\r\n")
	if b, err := io.ReadAll(c); err != nil {
		t.Errorf("the connection was kept: %q %v", b, err)
	}
}

func TestASlowUploadIsCutOff(t *testing.T) {
	r := newRig(t, rigOptions{limits: Limits{StallTime: 50 * time.Millisecond}})
	r.accept(letter, theFilter)
	c := r.claim("virus", "virus")
	refused(t, slowBody(t, r, "/v1/claims/"+c.Token+"/uploads", "application/octet-stream"), "request_timeout")
}

func TestAnUploadBelowTheLeastRateIsCutOff(t *testing.T) {
	p := &paced{
		ReadCloser: io.NopCloser(strings.NewReader("x")), rc: http.NewResponseController(httptest.NewRecorder()),
		limits: Limits{BodyTime: time.Second, MinRate: 1000}.withDefaults(), start: time.Now().Add(-10 * time.Second), n: 9_000,
	}
	if _, err := p.Read(make([]byte, 10)); err != errSlow {
		t.Errorf("900 octets a second: %v", err)
	}
	p.n = 11_000
	if _, err := p.Read(make([]byte, 10)); err != nil {
		t.Errorf("1100 octets a second: %v", err)
	}
}

func TestALongHeaderSectionIsRefused(t *testing.T) {
	addr, _, _, _ := newRig(t, rigOptions{}).run()
	c := dial(t, addr)
	go fmt.Fprintf(c, "GET /healthz HTTP/1.1\r\nHost: x\r\nX: %s\r\n\r\n", strings.Repeat("x", 1<<20))
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil || res.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("%v %v", res, err)
	}
}

func TestAnUploadIsBounded(t *testing.T) {
	r := newRig(t, rigOptions{limits: Limits{MaxUpload: 1000}})
	r.accept(letter, theFilter)
	c := r.claim("virus", "virus")
	path := "/v1/claims/" + c.Token + "/uploads"
	header := []string{"Content-Type", "application/octet-stream"}
	if w := r.call("virus", "POST", path, strings.Repeat("x", 1000), header...); w.Code != 201 {
		t.Errorf("at the bound: %d %s", w.Code, w.Body)
	}
	refused(t, r.call("virus", "POST", path, strings.Repeat("x", 1001), header...), "body_too_large")
	// Without a length announced the bound holds all the same.
	req := httptest.NewRequest("POST", path, io.MultiReader(strings.NewReader(strings.Repeat("x", 1001))))
	req.ContentLength = -1
	req.Header.Set("Content-Type", "application/octet-stream")
	req.Header.Set("Authorization", "Bearer "+r.tokens["virus"])
	w := httptest.NewRecorder()
	r.s.ServeHTTP(w, req)
	refused(t, w, "body_too_large")
}

func TestOnePeerDoesNotTakeAllConnections(t *testing.T) {
	g := gate{total: 3, each: 2}
	for i, want := range []struct {
		key string
		ok  bool
	}{{"a", true}, {"a", true}, {"a", false}, {"b", true}, {"c", false}} {
		if got := g.enter(peer{key: want.key}); got != want.ok {
			t.Errorf("%d: %s: %v, want %v", i, want.key, got, want.ok)
		}
	}
	g.leave(peer{key: "a"})
	if !g.enter(peer{key: "c"}) {
		t.Error("a place that was left is not given again")
	}
}

func TestStrangersDoNotLockTheOperatorOut(t *testing.T) {
	g := gate{total: 10, each: 2}
	strangers := 0
	for i := range 20 {
		if g.enter(peer{key: strconv.Itoa(i)}) {
			strangers++
		}
	}
	if own := (peer{key: "uid 0", own: true}); strangers != 9 || !g.enter(own) || g.enter(own) {
		t.Errorf("%d strangers; want 9, and one place for the operator", strangers)
	}
}

func TestAConnectionTooManyIsClosed(t *testing.T) {
	r := newRig(t, rigOptions{limits: Limits{PerAddress: 1}})
	addr, _, _, _ := r.run()
	first := dial(t, addr)
	io.WriteString(first, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
	if res, err := http.ReadResponse(bufio.NewReader(first), nil); err != nil || res.StatusCode != 200 {
		t.Fatal(res, err)
	}
	second := dial(t, addr)
	if b, err := io.ReadAll(second); len(b) > 0 {
		t.Errorf("served: %q %v", b, err)
	}
}

// A scanner that waits for mail holds nothing up when the process stops.
func TestStoppingEndsLongPolls(t *testing.T) {
	spy := &spy{claim: make(chan struct{}, 1)}
	r := newRig(t, rigOptions{filters: spy.on})
	addr, _, stop, done := r.run()
	c, err := filterproto.NewClient(filterproto.ClientOptions{URL: "http://" + addr, Token: r.tokens["virus"]})
	if err != nil {
		t.Fatal(err)
	}
	polled := make(chan error, 1)
	go func() {
		got, err := c.Claim(context.Background(), theFilter, filterproto.ClaimRequest{Wait: 60})
		if len(got) > 0 {
			err = fmt.Errorf("%d claims of nothing", len(got))
		}
		polled <- err
	}()
	<-spy.claim
	stop()
	if err := <-polled; err != nil {
		t.Errorf("the poll: %v", err)
	}
	if err := <-done; err != nil {
		t.Errorf("Run: %v", err)
	}
}

// What was claimed for a caller who hung up meanwhile is not lost time: it is
// there for the next one at once.
func TestAClaimWhoseCallerHungUpIsGivenBack(t *testing.T) {
	r := newRig(t, rigOptions{})
	it := r.accept(letter, theFilter)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	req := httptest.NewRequest("POST", "/v1/filters/virus/claims", strings.NewReader("{}")).WithContext(ctx)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+r.tokens["virus"])
	r.s.ServeHTTP(httptest.NewRecorder(), req)
	if got := r.get(it.ID); got.Lease != nil || got.LostClaims != 0 {
		t.Errorf("still leased: %+v", got.Lease)
	}
	r.claim("virus", "virus")
}

// brokenPipe fails writes of the answer's body.
type brokenPipe struct{ *httptest.ResponseRecorder }

func (brokenPipe) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestAnAnswerThatCannotBeWrittenGivesItsClaimsBack(t *testing.T) {
	for _, accept := range []string{"application/json", filterproto.MediaFrames} {
		r := newRig(t, rigOptions{})
		it := r.accept(letter, theFilter)
		req := httptest.NewRequest("POST", "/v1/filters/virus/claims", strings.NewReader(`{"content":"inline"}`))
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Accept", accept)
		req.Header.Set("Authorization", "Bearer "+r.tokens["virus"])
		func() {
			defer func() {
				if p := recover(); p != http.ErrAbortHandler {
					t.Errorf("%s: the connection was not broken off: %v", accept, p)
				}
			}()
			r.s.ServeHTTP(brokenPipe{httptest.NewRecorder()}, req)
		}()
		if got := r.get(it.ID); got.Lease != nil {
			t.Errorf("%s: still leased", accept)
		}
	}
}

func TestAUnixSocketKnowsItsPeer(t *testing.T) {
	for _, c := range []struct {
		name   string
		peers  []Peer
		status int
	}{
		{"default", nil, 200},
		{"nobody", []Peer{}, 401},
		{"this user", []Peer{{UID: os.Getuid(), GID: -1, Scopes: []string{ScopeQueueRead}}}, 200},
		{"this group", []Peer{{UID: -1, GID: os.Getgid(), Scopes: []string{ScopeQueueRead}}}, 200},
		{"this user, another group", []Peer{{UID: os.Getuid(), GID: os.Getgid() + 1, Scopes: []string{ScopeQueueRead}}}, 401},
		{"another user", []Peer{{UID: os.Getuid() + 1, GID: -1, Scopes: []string{ScopeQueueRead}}}, 401},
		{"too little", []Peer{{UID: os.Getuid(), GID: -1, Scopes: []string{ScopeMetrics}}}, 403},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, rigOptions{})
			peers := c.peers
			if peers == nil {
				peers = defaultPeers()
			}
			if err := r.s.SetAccess(nil, peers); err != nil {
				t.Fatal(err)
			}
			addr, sock, _, _ := r.run()
			res, err := unixClient(sock).Get("http://x/v1/queue/count")
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
			if res.StatusCode != c.status {
				t.Errorf("unix: %d, want %d", res.StatusCode, c.status)
			}
			// The same peer over TCP is nobody.
			res, err = http.Get("http://" + addr + "/v1/queue/count")
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
			if res.StatusCode != 401 {
				t.Errorf("tcp: %d, want 401", res.StatusCode)
			}
		})
	}
}

// The time that a body may take does not bound the wait of a claim.
func TestALongPollOutlivesTheTimeOfBodies(t *testing.T) {
	spy := &spy{claim: make(chan struct{}, 1)}
	r := newRig(t, rigOptions{filters: spy.on, limits: Limits{BodyTime: 50 * time.Millisecond, StallTime: 50 * time.Millisecond}})
	addr, _, _, _ := r.run()
	c, err := filterproto.NewClient(filterproto.ClientOptions{URL: "http://" + addr, Token: r.tokens["virus"]})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second one on the connection of the first, whose deadlines have passed
		got, err := c.Claim(t.Context(), theFilter, filterproto.ClaimRequest{Wait: 0.3})
		if err != nil || len(got) != 0 {
			t.Fatalf("%+v %v", got, err)
		}
	}
	r.accept(letter, theFilter)
	if got, err := c.Claim(t.Context(), theFilter, filterproto.ClaimRequest{Wait: 0.3}); err != nil || len(got) != 1 {
		t.Fatalf("%+v %v", got, err)
	}
}
