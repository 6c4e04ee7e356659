package hookclient

import (
	"net/url"
	"strings"
	"testing"
)

func TestServerIsTheOneOfTheConfiguration(t *testing.T) {
	c, err := New(Options{URL: "https://scanner.example.org/a/b"})
	if err != nil {
		t.Fatal(err)
	}
	for ref, want := range map[string]string{
		"/x": "https://scanner.example.org/x", "x?y=z": "https://scanner.example.org/a/x?y=z", "https://scanner.example.org:443/x": "https://scanner.example.org:443/x",
		"//scanner.example.org/x": "https://scanner.example.org/x", "x#y": "https://scanner.example.org/a/x",
		"http://scanner.example.org/x": "", "https://scanner.example.org:444/x": "", "//evil.test/x": "", "https://scanner.example.org.evil.test/": "",
		"https://a@scanner.example.org/": "", "file:///etc/passwd": "", "unix:/run/x": "", "https://scanner.example.org@evil.test/": "", "http://[": "", "/" + strings.Repeat("x", 3000): "",
	} {
		u, err := c.Join(c.URL(), ref)
		if want == "" && err == nil || want != "" && (err != nil || u.String() != want) {
			t.Errorf("%.60s: %v, %v", ref, u, err)
		}
	}
}

func TestMailGoesToOtherHostsInTLSAlone(t *testing.T) {
	for u, ok := range map[string]bool{
		"http://127.0.0.1/": true, "http://[::1]:8080/": true, "http://localhost/": true, "https://a.example.org/": true,
		"http://a.example.org/": false, "http://127.0.0.1.evil.test/": false, "http://localhost.evil.test/": false, "http://10.0.0.1/": false,
		"ftp://localhost/": false, "localhost": false, "https://a:b@a.example.org/": false, "": false,
	} {
		if _, err := New(Options{URL: u}); (err == nil) != ok {
			t.Errorf("%q: %v", u, err)
		}
	}
	for _, o := range []Options{{URL: "http://a.example.org/", Plaintext: true}, {URL: "http://a.example.org/", Address: "unix:/run/x"}} {
		if _, err := New(o); err != nil {
			t.Errorf("%+v: %v", o, err)
		}
	}
	if _, err := New(Options{URL: "https://a.example.org/", CA: []byte("no certificate")}); err == nil {
		t.Error("a CA file without a certificate is taken")
	}
}

func TestLocalIsThisMachine(t *testing.T) {
	for s, want := range map[string]bool{"http://127.3.4.5/": true, "http://[::1]/": true, "http://localhost:1/": true, "http://0.0.0.0/": false, "http://[::2]/": false} {
		u, err := url.Parse(s)
		if err != nil || Local(u) != want {
			t.Errorf("%s: %v", s, err)
		}
	}
}

func TestStrictTakesOneValueExactly(t *testing.T) {
	type value struct {
		A string   `json:"a"`
		B []string `json:"b"`
	}
	for text, ok := range map[string]bool{
		`{"a":"x","b":["y"]}`: true, ` {} `: true, `null`: true,
		`{"a":"x","a":"y"}`: false, `{"A":"x"}`: false, `{"c":1}`: false, `{"a":1}`: false, `{"a":"x"} {}`: false, `{"a":"x"`: false, "{\"a\":\"\xff\"}": false, ``: false,
		strings.Repeat("[", 100) + strings.Repeat("]", 100): false,
	} {
		var v value
		if err := Strict([]byte(text), &v, true); (err == nil) != ok {
			t.Errorf("%.40q: %v", text, err)
		}
	}
	var v value
	if err := Strict([]byte(`{"a":"x","A":"y"}`), &v, false); err == nil {
		t.Error("a name in two cases is taken")
	}
}

func FuzzStrict(f *testing.F) {
	f.Add([]byte(`{"a":"x","b":["y"]}`))
	f.Add([]byte(`{"a":"x","A":"y"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		var v, again struct {
			A string `json:"a"`
			B []any  `json:"b"`
		}
		if Strict(b, &v, true) == nil && Strict(b, &again, false) != nil {
			t.Errorf("%q", b)
		}
	})
}
