package main

// The connector over a real socket, started as a gateway starts it.

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	pb "workbench-go-connector/gen/peftstudio/connector/v1"
	jobpb "workbench-go-connector/gen/peftstudio/job/v1"
)

func TestItSaysWhoItIsAndProvesItToTheGatewayAlone(t *testing.T) {
	c := launch(t, workFolder(t))
	if c.handshake["protocol"] != 1.0 || c.handshake["pid"] != float64(c.process.Process.Pid) {
		t.Fatal(c.handshake)
	}
	var proof metadata.MD
	told, err := c.client.Describe(c.ctx(), &pb.DescribeRequest{}, grpc.Header(&proof))
	must(t, err)
	if told.Name != "workbench-go" || !reflect.DeepEqual(proof.Get("x-connector-token"), []string{connectorToken}) {
		t.Fatal(told.Name, proof)
	}
	_, err = c.client.Describe(c.as("another"), &pb.DescribeRequest{}, grpc.Header(&proof))
	fails(t, err, codes.Unauthenticated, "CREDENTIALS_REJECTED")
	if len(proof.Get("x-connector-token")) > 0 {
		t.Fatal("a stranger was told the connector's token")
	}
}

func TestAKeyThatThePlatformRefusesOpensNoConnection(t *testing.T) {
	c := launch(t, workFolder(t))
	fails(t, c.connect("short"), codes.Unauthenticated, "CREDENTIALS_REJECTED")
	_, err := c.submit("t", "count")
	fails(t, err, codes.FailedPrecondition, "NOT_CONNECTED")
}

func TestAJobRunsFromItsSubmissionToItsFiles(t *testing.T) {
	c := launch(t, workFolder(t))
	must(t, c.connect(goodKey))
	id, err := c.submit("t", "count", "3")
	must(t, err)
	lines, ended := c.readLog(id, "")
	if !ended || !reflect.DeepEqual(lines, numbers(3)) {
		t.Fatal(lines, ended)
	}
	if seen := c.reaches(jobpb.JobState_JOB_STATE_SUCCEEDED, id); seen.GetExitCode() != 0 {
		t.Fatal(seen)
	}
	listed, err := c.client.ListArtifacts(c.ctx(), &pb.ListArtifactsRequest{ConnectionId: "c", PlatformJobId: id})
	must(t, err)
	data := c.fetch(id, listed.Artifacts[0].Id)
	if sum := sha256.Sum256(data); string(data) != "1\n2\n3\n" || hex.EncodeToString(sum[:]) != listed.Artifacts[0].Sha256 {
		t.Fatal(string(data), listed)
	}
}

func TestASubmissionThatComesTwiceStartsOneJob(t *testing.T) {
	c := launch(t, workFolder(t))
	must(t, c.connect(goodKey))
	id, err := c.submit("t", "count", "3")
	must(t, err)
	again, err := c.submit("t", "count", "3")
	must(t, err)
	if lines, _ := c.readLog(id, ""); again != id || len(lines) != 3 {
		t.Fatal(again, id, lines)
	}
}

func TestALogGoesOnFromItsCursorWhenTheProcessIsKilledAndTheJobRunsOn(t *testing.T) {
	folder := workFolder(t)
	c := launch(t, folder)
	must(t, c.connect(goodKey))
	id, err := c.submit("t", "count", "20", "0.05")
	must(t, err)
	stream, err := c.client.StreamLogs(c.ctx(), &pb.StreamLogsRequest{ConnectionId: "c", PlatformJobId: id})
	must(t, err)
	first := &pb.StreamLogsResponse{}
	for len(first.Lines) == 0 {
		first, err = stream.Recv()
		must(t, err)
	}
	c.kill()
	next := launch(t, folder)
	must(t, next.connect(goodKey))
	rest, ended := next.readLog(id, first.Cursor)
	if lines := append(counted(first.Lines), rest...); !ended || !reflect.DeepEqual(lines, numbers(20)) {
		t.Fatal(lines, ended)
	}
}

func TestACancelledJobEndsAndCancellingItAgainIsNoError(t *testing.T) {
	c := launch(t, workFolder(t))
	must(t, c.connect(goodKey))
	id, err := c.submit("t", "wait")
	must(t, err)
	c.reaches(jobpb.JobState_JOB_STATE_RUNNING, id)
	for range []string{"once", "again"} {
		_, err := c.client.CancelJob(c.ctx(), &pb.CancelJobRequest{ConnectionId: "c", PlatformJobId: id})
		must(t, err)
		c.reaches(jobpb.JobState_JOB_STATE_CANCELLED, id)
	}
}

func TestWhatIsNotThereIsNotFoundAndWhatCannotBeUsedIsInvalid(t *testing.T) {
	c := launch(t, workFolder(t))
	must(t, c.connect(goodKey))
	_, err := c.client.GetJobStatus(c.ctx(), &pb.GetJobStatusRequest{ConnectionId: "c", PlatformJobId: "../../etc"})
	fails(t, err, codes.NotFound, "NOT_FOUND")
	_, err = c.submit("t", "../wait")
	fails(t, err, codes.InvalidArgument, "INVALID_CONFIG")
}

func TestItEndsWhenItsGatewayIsGone(t *testing.T) {
	c := launch(t, workFolder(t))
	must(t, c.lifeline.Close())
	must(t, c.process.Wait())
}

// Read a log from a cursor on: what `count` prints, its metrics aside, and whether the log has ended.
func (c *connector) readLog(id, cursor string) (lines []string, ended bool) {
	request := &pb.StreamLogsRequest{ConnectionId: "c", PlatformJobId: id, Cursor: cursor}
	stream, err := c.client.StreamLogs(c.ctx(), request)
	must(c.T, err)
	for {
		answer, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return lines, ended
		}
		must(c.T, err)
		lines, ended = append(lines, counted(answer.Lines)...), answer.End
	}
}

func (c *connector) fetch(id, artifact string) (data []byte) {
	request := &pb.FetchArtifactRequest{ConnectionId: "c", PlatformJobId: id, ArtifactId: artifact}
	stream, err := c.client.FetchArtifact(c.ctx(), request)
	must(c.T, err)
	for {
		answer, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return data
		}
		must(c.T, err)
		data = append(data, answer.GetChunk().GetData()...)
	}
}

func counted(lines []*jobpb.LogLine) (found []string) {
	for _, line := range lines {
		if strings.HasPrefix(line.Text, "number") {
			found = append(found, line.Text)
		}
	}
	return found
}

func numbers(count int) (lines []string) {
	for number := 1; number <= count; number++ {
		lines = append(lines, fmt.Sprintf("number %d", number))
	}
	return lines
}

// That a call failed with a code, and with a reason in its details.
func fails(t *testing.T, err error, code codes.Code, reason string) {
	t.Helper()
	for _, one := range status.Convert(err).Details() {
		if info, isInfo := one.(*errdetails.ErrorInfo); isInfo && info.Reason == reason && status.Code(err) == code {
			return
		}
	}
	t.Fatalf("%v is not %v with %s", err, code, reason)
}
