package main

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"

	pb "workbench-go-connector/gen/peftstudio/connector/v1"
	jobpb "workbench-go-connector/gen/peftstudio/job/v1"
)

const (
	machine   = "machine"
	sdk       = "workbench-go/0.1.0" // it has none, and serves itself
	keyLength = 8                    // shorter ones are guessed
	pageSize  = 1000
	pollEvery = 200 * time.Millisecond
)

const credentialsSchema = `{
  "type": "object", "required": ["api_key"], "additionalProperties": false,
  "properties": {"api_key": {"type": "string", "minLength": 8, "secret": true}}
}`

const optionsSchema = `{
  "type": "object", "additionalProperties": false,
  "properties": {
    "program": {"type": "string", "description": "Which program; default: train"},
    "args": {"type": "array", "items": {"type": "string"}, "description": "Its arguments"}
  }
}`

// peftstudio.connector.v1.ConnectorService for the workbench.
type service struct {
	pb.UnimplementedConnectorServiceServer
	bench    workbench
	shutdown func(time.Duration)
	draining chan struct{}

	mutex    sync.Mutex
	underWay sync.WaitGroup
	accounts sync.Map // by connection
}

// A call begins; it is refused once the connector drains.
func (s *service) enter() error {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	select {
	case <-s.draining:
		return ending()
	default:
		s.underWay.Add(1)
		return nil
	}
}

func (s *service) drain() {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	close(s.draining)
}

func (s *service) Describe(context.Context, *pb.DescribeRequest) (*pb.DescribeResponse, error) {
	return &pb.DescribeResponse{
		Name:              "workbench-go",
		DisplayName:       "workbench-go",
		Description:       "Runs programs of this machine as jobs.",
		Version:           "0.1.0",
		Sdk:               sdk,
		Features:          []string{"training", "registry"},
		Capabilities:      []string{"cancel_job", "find_job", "list_jobs", "dry_run"},
		CredentialsSchema: mustStruct(credentialsSchema),
		OptionsSchema:     mustStruct(optionsSchema),
		LogSource:         pb.LogSource_LOG_SOURCE_CURSOR,
		SubmitSafety:      pb.SubmitSafety_SUBMIT_SAFETY_KEYED,
		MinPollInterval:   durationpb.New(pollEvery),
	}, nil
}

func (s *service) Connect(_ context.Context, request *pb.ConnectRequest) (*pb.ConnectResponse, error) {
	key := request.Credentials["api_key"]
	if len(key) < keyLength {
		return nil, failure("CREDENTIALS_REJECTED", fmt.Sprintf("the api_key has fewer than %d characters", keyLength))
	}
	opened, err := s.bench.account(key)
	if err != nil {
		return nil, err
	}
	s.accounts.Store(request.ConnectionId, opened)
	return &pb.ConnectResponse{Account: opened.name}, nil
}

func (s *service) Disconnect(_ context.Context, request *pb.DisconnectRequest) (*pb.DisconnectResponse, error) {
	s.accounts.Delete(request.ConnectionId)
	return &pb.DisconnectResponse{}, nil
}

func (s *service) VerifyConnection(
	_ context.Context, request *pb.VerifyConnectionRequest,
) (*pb.VerifyConnectionResponse, error) {
	opened, err := s.account(request)
	if err != nil {
		return nil, err
	}
	return &pb.VerifyConnectionResponse{Account: opened.name}, nil
}

func (s *service) SubmitJob(_ context.Context, request *pb.SubmitJobRequest) (*pb.SubmitJobResponse, error) {
	opened, err := s.account(request)
	if err != nil {
		return nil, err
	}
	if request.Config == nil {
		request.Config = &jobpb.TrainingConfig{}
	}
	config, err := protojson.MarshalOptions{UseProtoNames: true, Indent: "  "}.Marshal(request.Config)
	if err != nil {
		return nil, err
	}
	program, args, err := s.wanted(request, impossible(config))
	if err != nil || request.DryRun {
		return &pb.SubmitJobResponse{}, err
	}
	err = opened.submit(request.SubmissionToken, program, args, config, request.Config.GetDatasetPath())
	return &pb.SubmitJobResponse{PlatformJobId: request.SubmissionToken}, err
}

// Which program a request wants, with its arguments; all that is wrong with it is told at once.
func (s *service) wanted(
	request *pb.SubmitJobRequest, wrong map[string]string,
) (program string, args []string, err error) {
	options := request.Config.GetOptions().GetFields()
	name := "train"
	if value, given := options["program"]; given {
		name = value.GetStringValue()
	}
	if program = s.bench.program(name); program == "" {
		wrong["config.options.program"] = fmt.Sprintf("there is no program %s on this machine", clip(name))
	}
	for _, value := range options["args"].GetListValue().GetValues() {
		if _, isText := value.GetKind().(*structpb.Value_StringValue); !isText {
			wrong["config.options.args"] = "is no list of texts"
		}
		args = append(args, value.GetStringValue())
	}
	if request.ResourceId != "" && request.ResourceId != machine {
		wrong["resource_id"] = "the only machine is " + machine
	}
	if len(wrong) > 0 {
		err = invalidConfig(wrong)
	}
	return program, args, err
}

func (s *service) FindJob(_ context.Context, request *pb.FindJobRequest) (*pb.FindJobResponse, error) {
	opened, err := s.account(request)
	if err != nil {
		return nil, err
	}
	if _, err := opened.job(request.SubmissionToken); err != nil {
		return &pb.FindJobResponse{}, nil
	}
	return &pb.FindJobResponse{PlatformJobId: request.SubmissionToken}, nil
}

func (s *service) ListJobs(_ context.Context, request *pb.ListJobsRequest) (*pb.ListJobsResponse, error) {
	opened, err := s.account(request)
	if err != nil {
		return nil, err
	}
	names, err := opened.jobs()
	answer := &pb.ListJobsResponse{}
	for _, name := range names {
		if name <= request.Cursor {
			continue
		}
		if len(answer.Jobs) == pageSize {
			answer.NextCursor = answer.Jobs[pageSize-1].PlatformJobId
			break
		}
		found, err := opened.job(name)
		if err != nil {
			return nil, err
		}
		answer.Jobs = append(answer.Jobs, &pb.ListedJob{
			PlatformJobId: name, SubmissionToken: name, ResourceId: machine, Observation: observe(found),
		})
	}
	return answer, err
}

func (s *service) GetJobStatus(_ context.Context, request *pb.GetJobStatusRequest) (*pb.GetJobStatusResponse, error) {
	found, err := s.job(request)
	if err != nil {
		return nil, err
	}
	return &pb.GetJobStatusResponse{Observation: observe(found)}, nil
}

func (s *service) CancelJob(_ context.Context, request *pb.CancelJobRequest) (*pb.CancelJobResponse, error) {
	found, err := s.job(request)
	if err != nil {
		return nil, err
	}
	return &pb.CancelJobResponse{}, found.cancel()
}

func (s *service) StreamLogs(request *pb.StreamLogsRequest, stream pb.ConnectorService_StreamLogsServer) error {
	found, err := s.job(request)
	if err != nil {
		return err
	}
	cursor, err := strconv.ParseInt("0"+request.Cursor, 10, 64)
	if err != nil {
		return failure("CURSOR_EXPIRED", "the cursor is none of this log")
	}
	reader := &logReader{path: found.file("log"), offset: cursor}
	last := time.Time{}
	for {
		ended := found.hasEnded() // before the read, which then sees all that was written
		lines, behind, isEmpty, err := reader.batch()
		switch {
		case err != nil:
			return err
		case isEmpty && ended:
			return stream.Send(reader.last())
		case len(lines) > 0 || time.Since(last) > signOfLife:
			last = time.Now()
			if err := stream.Send(&pb.StreamLogsResponse{Lines: lines, Cursor: behind}); err != nil {
				return err
			}
		}
		if !isEmpty {
			continue
		}
		select {
		case <-time.After(lookEvery):
		case <-s.draining:
			return nil // a cut: the gateway goes on with the next process
		case <-stream.Context().Done():
			return stream.Context().Err()
		}
	}
}

func (s *service) ListResources(_ context.Context, request *pb.ListResourcesRequest) (*pb.ListResourcesResponse, error) {
	if _, err := s.account(request); err != nil {
		return nil, err
	}
	name, err := os.Hostname()
	return &pb.ListResourcesResponse{Resources: []*jobpb.Resource{{
		Id: machine, Name: name, Type: jobpb.ResourceType_RESOURCE_TYPE_CPU, Available: true,
		CpuCores: int32(runtime.NumCPU()), RamGb: memoryGB(),
	}}}, err
}

func (s *service) GetPricing(_ context.Context, request *pb.GetPricingRequest) (*pb.GetPricingResponse, error) {
	if _, err := s.account(request); err != nil {
		return nil, err
	}
	if request.ResourceId != machine {
		return nil, notFound("resource", request.ResourceId)
	}
	return &pb.GetPricingResponse{
		Price: &jobpb.Price{ResourceId: machine, NotPriced: true, Source: jobpb.PriceSource_PRICE_SOURCE_STATIC},
	}, nil
}

func (s *service) Shutdown(_ context.Context, request *pb.ShutdownRequest) (*pb.ShutdownResponse, error) {
	s.shutdown(request.Grace.AsDuration())
	return &pb.ShutdownResponse{}, nil
}

func (s *service) account(request interface{ GetConnectionId() string }) (*account, error) {
	opened, found := s.accounts.Load(request.GetConnectionId())
	if !found {
		return nil, failure("NOT_CONNECTED", fmt.Sprintf("the connection %s is not open here", clip(request.GetConnectionId())))
	}
	return opened.(*account), nil
}

func (s *service) job(request interface {
	GetConnectionId() string
	GetPlatformJobId() string
}) (*job, error) {
	opened, err := s.account(request)
	if err != nil {
		return nil, err
	}
	return opened.job(request.GetPlatformJobId())
}

func observe(found *job) *jobpb.JobObservation {
	word, exitCode := found.look()
	released := jobpb.ResourceState_RESOURCE_STATE_RELEASED
	seen := &jobpb.JobObservation{RawState: word, Attempt: 1, ResourceState: released, ExitCode: exitCode}
	switch word {
	case "waiting":
		seen.State, seen.ResourceState = jobpb.JobState_JOB_STATE_QUEUED, jobpb.ResourceState_RESOURCE_STATE_NONE
	case "running":
		seen.State, seen.ResourceState = jobpb.JobState_JOB_STATE_RUNNING, jobpb.ResourceState_RESOURCE_STATE_HELD
	case "ending":
		seen.State = jobpb.JobState_JOB_STATE_CANCELLING
		seen.ResourceState = jobpb.ResourceState_RESOURCE_STATE_RELEASE_REQUESTED
	case "done":
		seen.State, seen.Reason = jobpb.JobState_JOB_STATE_SUCCEEDED, jobpb.JobReason_JOB_REASON_OK
	case "failed":
		seen.State, seen.Reason = jobpb.JobState_JOB_STATE_FAILED, jobpb.JobReason_JOB_REASON_EXIT_NONZERO
	case "cancelled":
		seen.State, seen.Reason = jobpb.JobState_JOB_STATE_CANCELLED, jobpb.JobReason_JOB_REASON_CANCELLED_BY_USER
	default:
		seen.State, seen.Reason = jobpb.JobState_JOB_STATE_FAILED, jobpb.JobReason_JOB_REASON_NODE_FAILED
		seen.Message = "The program was killed, or the machine was started anew."
	}
	return seen
}

func memoryGB() float64 {
	text, _ := os.ReadFile("/proc/meminfo") // 0 = not known, where there is none
	for _, line := range strings.Split(string(text), "\n") {
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == "MemTotal:" {
			kib, _ := strconv.ParseFloat(fields[1], 64)
			return kib * 1024 / 1e9
		}
	}
	return 0
}

func mustStruct(text string) *structpb.Struct {
	made := &structpb.Struct{}
	if err := protojson.Unmarshal([]byte(text), made); err != nil {
		panic(err) // the text is a constant
	}
	return made
}
