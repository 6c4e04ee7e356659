package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// Bounds of the file.
const (
	MaxFile = 512 << 10 // octets
	MaxLine = 4 << 10   // octets of one line
	maxDeep = 32        // brackets in brackets
)

// Load reads and checks the file. Its error is Problems when the file could be
// read. Referenced files (certificates, keys) are looked at too.
func Load(path string) (*Config, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, MaxFile+1))
	if err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	cfg, problems := parse(path, data)
	if len(problems) == 0 {
		problems = cfg.checkFiles(f)
	}
	if len(problems) > 0 {
		problems.sort()
		return nil, problems
	}
	return cfg, nil
}

// Parse reads and checks data as Load does, but looks at no other file. The name
// is used in messages only. Its error is Problems.
func Parse(name string, data []byte) (*Config, error) {
	cfg, problems := parse(name, data)
	if len(problems) > 0 {
		problems.sort()
		return nil, problems
	}
	return cfg, nil
}

// Default is the configuration of an empty file.
func Default() *Config {
	cfg, problems := parse("", nil)
	if len(problems) > 0 {
		panic("config: the defaults are not valid: " + problems.Error())
	}
	return cfg
}

func parse(name string, data []byte) (*Config, Problems) {
	d := newDecoder(name)
	root := d.parse(data)
	cfg := &Config{File: name, positions: d.positions}
	d.config(root, cfg)
	if len(d.problems) == 0 {
		cfg.derive()
		d.problems = cfg.check()
	}
	return cfg, d.problems
}

// parse returns the tree of the file's one document, nil when it is empty.
func (d *decoder) parse(data []byte) ast.Node {
	if p, msg := tooMuch(data); msg != "" {
		d.add(p, "", msg, "")
		return nil
	}
	file, err := parseTree(data)
	if err != nil {
		d.syntax(err)
		return nil
	}
	var root ast.Node
	for _, doc := range file.Docs {
		if doc.Body == nil {
			continue
		}
		if root != nil {
			d.add(positionOf(doc.Body), "", "a second document in the file", "put everything into one, without ---")
			return nil
		}
		root = doc.Body
	}
	return root
}

// parseTree turns a panic of the YAML parser into an error: a broken file must
// not end a running daemon that was asked to reload.
func parseTree(data []byte) (f *ast.File, err error) {
	defer func() {
		if r := recover(); r != nil {
			f, err = nil, errors.New("this is not YAML that can be understood")
		}
	}()
	return parser.ParseBytes(data, 0, parser.AllowDuplicateMapKey())
}

func (d *decoder) syntax(err error) {
	var at Position
	msg := err.Error()
	if e, ok := errors.AsType[yaml.Error](err); ok {
		msg = e.GetMessage()
		if t := e.GetToken(); t != nil && t.Position != nil {
			at = Position{t.Position.Line, t.Position.Column}
		}
	}
	d.add(at, "", msg, "the file is YAML: spaces, not tabs; the same indentation for what belongs together; quotes around a value that begins with a bracket")
}

// tooMuch finds what would make the parser use memory or stack without bound.
func tooMuch(data []byte) (Position, string) {
	if len(data) > MaxFile {
		return Position{}, fmt.Sprintf("the file is larger than %d octets", MaxFile)
	}
	depth := 0
	for i, line := range bytes.Split(data, []byte("\n")) {
		at := Position{i + 1, 1}
		if len(line) > MaxLine {
			return at, fmt.Sprintf("the line is longer than %d octets", MaxLine)
		}
		line, _, _ = bytes.Cut(line, []byte(" #"))
		depth += bytes.Count(line, []byte("[")) + bytes.Count(line, []byte("{"))
		if depth > maxDeep && len(line) > 0 {
			closing := bytes.Count(line, []byte("]")) + bytes.Count(line, []byte("}"))
			if depth-closing > maxDeep {
				return at, fmt.Sprintf("brackets in brackets, more than %d deep", maxDeep)
			}
		}
		depth = max(0, depth-bytes.Count(line, []byte("]"))-bytes.Count(line, []byte("}")))
		if bytes.Count(line, []byte("- ")) > maxDeep || bytes.Count(line, []byte("? ")) > maxDeep {
			return at, "lists in lists, too deep"
		}
	}
	return Position{}, ""
}
