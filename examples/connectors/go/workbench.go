package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"sort"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// A program that was told to end may save its work for so long.
const killAfter = 10 * time.Second

// Neither a path nor an option.
var plainName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$`)

// The platform: programs of this machine, run as jobs in folders. All its state is on disk, so that a job outlives the
// connector, and another connector process goes on with it.
type workbench struct {
	folder, programs string
	digests          sync.Map // of files, by path and etag: computed once for each state of a file
}

// Whoever has the same key sees the same jobs.
type account struct {
	name, folder string
	bench        *workbench
}

type job struct {
	folder string
	bench  *workbench
}

type file struct {
	id, path, etag, sha256 string
	size                   int64
}

func (w *workbench) account(key string) (*account, error) {
	sum := sha256.Sum256([]byte(key))
	name := hex.EncodeToString(sum[:8])
	home, err := filepath.EvalSymlinks(w.folder)
	if err != nil {
		return nil, err
	}
	folder := filepath.Join(home, "accounts", name)
	for _, part := range []string{"jobs", "registry"} {
		if err := os.MkdirAll(filepath.Join(folder, part), 0o700); err != nil {
			return nil, err
		}
	}
	return &account{name, folder, w}, nil
}

// The file of a program; "" = there is none.
func (w *workbench) program(name string) string {
	found, err := filepath.Abs(filepath.Join(w.programs, name))
	if err != nil || !plainName.MatchString(name) || !exists(found) {
		return ""
	}
	return found
}

// Start a job under a name: at most one, however often and by however many processes this is called.
func (a *account) submit(name, program string, args []string, config []byte, dataset string) error {
	draft, err := os.MkdirTemp(a.folder, ".draft-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(draft)
	if err := os.Mkdir(filepath.Join(draft, "output"), 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(draft, "config.json"), config, 0o600); err != nil {
		return err
	}
	folder := filepath.Join(a.folder, "jobs", name)
	// A folder that is not empty is never replaced: then the job is there already.
	if err := os.Rename(draft, folder); err != nil && !exists(folder) {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	runner := exec.Command(self, append([]string{"run", program}, args...)...)
	runner.Dir = folder
	runner.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "JOB_DATASET=" + dataset}
	runner.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := runner.Start(); err != nil {
		return err
	}
	go func() { _ = runner.Wait() }()
	return nil
}

func (a *account) job(name string) (*job, error) {
	folder := filepath.Join(a.folder, "jobs", name)
	if !plainName.MatchString(name) || !exists(folder) {
		return nil, notFound("job", name)
	}
	return &job{folder, a.bench}, nil
}

func (a *account) jobs() ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(a.folder, "jobs")) // sorted
	names := make([]string, 0, len(entries))
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names, err
}

// How a job is: waiting, running, ending, done, failed, cancelled or vanished; with the exit code where there is one.
func (j *job) look() (string, *int32) {
	// In this order: a job that writes its exit code and goes, between two of these, is not taken for vanished.
	pid := j.pid()
	lives := pid > 0 && isAlive(pid, j.folder)
	exit, exitErr := os.ReadFile(j.file("exit"))
	mark, markErr := os.Stat(j.file("cancelled"))
	cancelled := markErr == nil
	switch code, err := strconv.ParseInt(string(exit), 10, 32); {
	case exitErr == nil && err == nil:
		word, code := "failed", int32(code)
		if code == 0 {
			word = "done"
		} else if cancelled {
			word = "cancelled"
		}
		return word, &code
	case lives && !cancelled:
		return "running", nil
	case lives:
		if time.Since(mark.ModTime()) > killAfter {
			_ = syscall.Kill(-pid, syscall.SIGKILL)
		}
		return "ending", nil
	case cancelled:
		return "cancelled", nil
	case pid == 0:
		return "waiting", nil
	}
	return "vanished", nil
}

func (j *job) hasEnded() bool {
	word, _ := j.look()
	return word != "waiting" && word != "running" && word != "ending"
}

func (j *job) cancel() error {
	if word, _ := j.look(); word != "waiting" && word != "running" {
		return nil
	}
	// The mark first: a program that is about to start sees it, or is seen here.
	if err := os.WriteFile(j.file("cancelled"), nil, 0o600); err != nil {
		return err
	}
	if pid := j.pid(); pid > 0 {
		_ = syscall.Kill(-pid, syscall.SIGTERM)
	}
	return nil
}

// What the program left, by path.
func (j *job) files() ([]file, error) {
	output, found := j.file("output"), []file{}
	err := filepath.WalkDir(output, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		id, _ := filepath.Rel(output, path)
		etag := fmt.Sprintf("%d-%d", info.Size(), info.ModTime().UnixNano())
		sum, err := j.bench.sha256(path, etag)
		found = append(found, file{filepath.ToSlash(id), path, etag, sum, info.Size()})
		return err
	})
	sort.Slice(found, func(a, b int) bool { return found[a].id < found[b].id })
	return found, err
}

func (w *workbench) sha256(path, etag string) (string, error) {
	if sum, known := w.digests.Load(path + etag); known {
		return sum.(string), nil
	}
	opened, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer opened.Close()
	hash := sha256.New()
	if _, err := io.Copy(hash, opened); err != nil {
		return "", err
	}
	sum := hex.EncodeToString(hash.Sum(nil))
	w.digests.Store(path+etag, sum)
	return sum, nil
}

func (j *job) file(name string) string { return filepath.Join(j.folder, name) }

func (j *job) pid() int {
	text, _ := os.ReadFile(j.file("pid"))
	pid, _ := strconv.Atoi(string(text))
	return pid
}

// A process id is used again; the folder that a process works in tells whose it is.
func isAlive(pid int, folder string) bool {
	if works, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", pid)); err == nil {
		return works == folder
	}
	return !exists("/proc/self") && syscall.Kill(pid, 0) == nil
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// Run a job's program in this folder, once however often this is started, and leave its exit code in `exit`.
func runJob(command []string) int {
	own := fmt.Sprintf(".pid-%d", os.Getpid())
	if os.WriteFile(own, []byte(strconv.Itoa(os.Getpid())), 0o600) != nil {
		return 1
	}
	claimed := os.Link(own, "pid")
	_ = os.Remove(own)
	if claimed != nil || exists("cancelled") {
		return 0 // it runs already, or has run, or is not wanted any more
	}
	// The program ends by it; this stays, to tell how. Ignored, it would be ignored by the program, too.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGTERM)
	code := execute(command)
	if os.WriteFile(".exit", []byte(strconv.Itoa(code)), 0o600) != nil || os.Rename(".exit", "exit") != nil {
		return 1
	}
	return 0
}

func execute(command []string) int {
	log, err := os.OpenFile("log", os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return 1
	}
	defer log.Close()
	program := exec.Command(command[0], command[1:]...)
	program.Stdout, program.Stderr = log, log
	err = program.Run()
	var ended *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &ended) && ended.ExitCode() >= 0:
		return ended.ExitCode()
	case errors.As(err, &ended):
		return 128 + int(ended.Sys().(syscall.WaitStatus).Signal())
	}
	fmt.Fprintln(log, err)
	return 127
}
