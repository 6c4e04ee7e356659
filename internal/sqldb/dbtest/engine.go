// Package dbtest starts databases for tests: PostgreSQL and MariaDB from the
// programs of the system, on a unix socket of their own, as a user without
// privileges, and SQLite in a file. A test skips where the program is missing.
package dbtest

import (
	"bytes"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"mtad/internal/sqldb"
)

// Engine is a database that runs. Its tables are the test's to make.
type Engine struct {
	Driver string
	DSN    string
	stop   func()
}

// Mark is the n-th placeholder of the engine.
func (e *Engine) Mark(n int) string {
	if e.Driver == sqldb.Postgres {
		return "$" + strconv.Itoa(n)
	}
	return "?"
}

// Stop ends the server; the end of the test does, too. SQLite has none.
func (e *Engine) Stop() {
	if e.stop != nil {
		e.stop()
	}
}

// Start starts the engine of a driver.
func Start(t testing.TB, driver string) *Engine {
	t.Helper()
	switch driver {
	case sqldb.Postgres:
		return postgres(t)
	case sqldb.MySQL:
		return mariadb(t)
	}
	return &Engine{Driver: sqldb.SQLite, DSN: filepath.Join(t.TempDir(), "logins.db")}
}

func postgres(t testing.TB) *Engine {
	server := find(t, "postgres")
	dir := home(t)
	initdb := command(filepath.Join(filepath.Dir(server), "initdb"), "-D", dir+"/data", "-U", "mtad", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
	if out, err := initdb.CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	e := &Engine{Driver: sqldb.Postgres, DSN: "host=" + dir + " dbname=postgres user=mtad sslmode=disable"}
	e.run(t, syscall.SIGINT, command(server, "-D", dir+"/data", "-k", dir, "-c", "listen_addresses=", "-c", "fsync=off", "-c", "shared_buffers=2MB", "-c", "max_connections=20"))
	return e
}

func mariadb(t testing.TB) *Engine {
	server := find(t, "mariadbd")
	dir := home(t)
	data := dir + "/data"
	if err := os.Mkdir(data, 0o700); err != nil {
		t.Fatal(err)
	}
	if c := credential(); c != nil {
		if err := os.Chown(data, int(c.Uid), int(c.Gid)); err != nil {
			t.Fatal(err)
		}
	}
	// Without its tables of privileges it need not be installed first.
	e := &Engine{Driver: sqldb.MySQL, DSN: "mtad@unix(" + dir + "/socket)/"}
	e.run(t, syscall.SIGTERM, command(server, "--no-defaults", "--skip-grant-tables", "--skip-networking", "--datadir="+data, "--socket="+dir+"/socket", "--pid-file="+dir+"/pid",
		"--innodb-buffer-pool-size=8M", "--innodb-log-file-size=4M", "--innodb-flush-log-at-trx-commit=0", "--collation-server=utf8mb4_general_ci", "--character-set-server=utf8mb4"))
	db, err := sqldb.Open(sqldb.Options{Driver: e.Driver, DSN: e.DSN})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), "CREATE DATABASE mail"); err != nil {
		t.Fatal(err)
	}
	e.DSN += "mail"
	return e
}

// find looks where Debian has programs that are not in the PATH.
func find(t testing.TB, program string) string {
	t.Helper()
	if path, err := exec.LookPath(program); err == nil {
		if path, err = filepath.EvalSymlinks(path); err == nil {
			return path
		}
	}
	for _, pattern := range []string{"/usr/sbin/", "/usr/lib/postgresql/*/bin/"} {
		if all, _ := filepath.Glob(pattern + program); len(all) > 0 {
			return all[len(all)-1]
		}
	}
	t.Skip(program + " is not installed")
	return ""
}

// home is a directory with a short name: sockets have at most 107 octets.
func home(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "db")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if c := credential(); c != nil {
		if err := os.Chown(dir, int(c.Uid), int(c.Gid)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// credential is whom a server runs as where root starts it: neither of the
// servers wants to be root. nil: as we do.
func credential() *syscall.Credential {
	if os.Geteuid() != 0 {
		return nil
	}
	c := &syscall.Credential{Uid: 65534, Gid: 65534}
	if u, err := user.Lookup("nobody"); err == nil {
		uid, _ := strconv.ParseUint(u.Uid, 10, 32)
		gid, _ := strconv.ParseUint(u.Gid, 10, 32)
		c = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	}
	return c
}

func command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: credential()}
	return cmd
}

// run starts a server and waits until it answers.
func (e *Engine) run(t testing.TB, end syscall.Signal, cmd *exec.Cmd) {
	t.Helper()
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	var once sync.Once
	e.stop = func() {
		once.Do(func() {
			_ = cmd.Process.Signal(end)
			<-ended
		})
	}
	t.Cleanup(func() {
		e.Stop()
		if t.Failed() {
			t.Logf("%s: %s", cmd.Path, out.String())
		}
	})
	db, err := sqldb.Open(sqldb.Options{Driver: e.Driver, DSN: e.DSN})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for range 3000 {
		if err = db.PingContext(t.Context()); err == nil {
			return
		}
		select {
		case <-ended:
			t.Fatalf("%s ended: %s", cmd.Path, out.String())
		case <-tick.C:
		}
	}
	t.Fatalf("%s does not answer: %v", cmd.Path, err)
}
