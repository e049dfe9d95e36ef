package main

// A gateway's part, for tests: the connector is started as docs/protocol.md says, and called over its socket.

import (
	"bufio"
	"context"
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/local"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/structpb"

	pb "workbench-go-connector/gen/peftstudio/connector/v1"
	jobpb "workbench-go-connector/gen/peftstudio/job/v1"
)

const (
	gatewayToken   = "gateway-8e1f"
	connectorToken = "connector-22c9"
	goodKey        = "any-eight-characters"
	callTimeout    = 20 * time.Second // for a start or a call, on a busy machine
)

// The test's own binary is the connector, and runs its jobs, too: what is tested is what was just compiled.
func TestMain(m *testing.M) {
	if os.Getenv("AS_CONNECTOR") != "" || len(os.Args) > 1 && os.Args[1] == "run" {
		main()
		return
	}
	os.Exit(m.Run())
}

// A process of the connector, with a connection to it.
type connector struct {
	*testing.T
	client    pb.ConnectorServiceClient
	process   *exec.Cmd
	lifeline  interface{ Close() error }
	handshake map[string]any
}

// A folder that a connector works in. Its path is short: a unix socket's has 100 bytes at most.
func workFolder(t *testing.T) string {
	folder, err := os.MkdirTemp("", "c-")
	must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	return folder
}

// Start the connector in a folder and wait for its handshake.
func launch(t *testing.T, folder string) *connector {
	programs, err := filepath.Abs("programs")
	must(t, err)
	self, err := os.Executable()
	must(t, err)
	read, write, err := os.Pipe()
	must(t, err)
	c := &connector{T: t, process: exec.Command(self, programs)}
	c.process.Dir, c.process.ExtraFiles = folder, []*os.File{write}
	c.process.Stdout, c.process.Stderr = os.Stderr, os.Stderr
	c.process.Env = append(os.Environ(), "AS_CONNECTOR=1")
	stdin, err := c.process.StdinPipe()
	must(t, err)
	c.lifeline = stdin
	must(t, c.process.Start())
	t.Cleanup(c.kill)
	must(t, write.Close())
	socket := filepath.Join(folder, "s")
	must(t, json.NewEncoder(stdin).Encode(bootstrap{socket, gatewayToken, connectorToken, []int{1}, folder}))
	must(t, read.SetReadDeadline(time.Now().Add(callTimeout)))
	line, err := bufio.NewReader(read).ReadBytes('\n')
	must(t, err)
	must(t, json.Unmarshal(line, &c.handshake))
	dial := func(ctx context.Context, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}
	opened, err := grpc.Dial("passthrough:///connector",
		grpc.WithContextDialer(dial), grpc.WithTransportCredentials(local.NewCredentials()))
	must(t, err)
	t.Cleanup(func() { _ = opened.Close() })
	c.client = pb.NewConnectorServiceClient(opened)
	return c
}

func (c *connector) kill() {
	_ = c.process.Process.Kill()
	_ = c.process.Wait()
}

// What every call has: a deadline, and the gateway's token.
func (c *connector) as(token string) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	c.Cleanup(cancel)
	return metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token)
}

func (c *connector) ctx() context.Context { return c.as(gatewayToken) }

func (c *connector) connect(key string) error {
	request := &pb.ConnectRequest{ConnectionId: "c", Credentials: map[string]string{"api_key": key}}
	_, err := c.client.Connect(c.ctx(), request)
	return err
}

// Submit a program, and return its job's id.
func (c *connector) submit(token, program string, args ...any) (string, error) {
	options, err := structpb.NewStruct(map[string]any{"program": program, "args": append([]any{}, args...)})
	must(c.T, err)
	config := &jobpb.TrainingConfig{BaseModel: "m", DatasetPath: "d", Options: options}
	request := &pb.SubmitJobRequest{ConnectionId: "c", SubmissionToken: token, Config: config}
	answer, err := c.client.SubmitJob(c.ctx(), request)
	return answer.GetPlatformJobId(), err
}

// Look at a job until it is in a state.
func (c *connector) reaches(state jobpb.JobState, id string) *jobpb.JobObservation {
	request := &pb.GetJobStatusRequest{ConnectionId: "c", PlatformJobId: id}
	for end := time.Now().Add(callTimeout); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		answer, err := c.client.GetJobStatus(c.ctx(), request)
		must(c.T, err)
		if answer.Observation.State == state {
			return answer.Observation
		}
	}
	c.Fatalf("the job never became %v", state)
	return nil
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
