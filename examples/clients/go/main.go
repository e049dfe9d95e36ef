// A client of the gateway in Go.
//
//	client-go connect CONNECTOR NAME < credentials.json
//	client-go submit CONNECTION REQUEST_ID < config.json      prints the job's id
//	client-go follow JOB [AFTER_LINE]                         prints the log
//	client-go download JOB FOLDER                             prints the files
//
// Kill the gateway meanwhile and start it again, if you like: each goes on where it was.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"os"
	"strconv"
	"time"

	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"

	pb "client-go/gen/peftstudio/gateway/v1"
	jobpb "client-go/gen/peftstudio/job/v1"
)

const (
	callLimit    = 30 * time.Second // a call that takes longer has been lost
	silenceLimit = 60 * time.Second // the gateway gives signs of life far more often
)

func main() {
	log.SetFlags(0)
	commands := map[string]func([]string) error{"connect": connect, "submit": submit, "follow": follow, "download": download}
	if len(os.Args) < 3 || commands[os.Args[1]] == nil {
		log.Print("usage: client-go connect|submit|follow|download ...; see the head of main.go")
		os.Exit(2)
	}
	if err := commands[os.Args[1]](append(os.Args[2:], "", "")); err != nil {
		log.Fatal(status.Convert(err).Message())
	}
}

func connect(args []string) error {
	request := &pb.ConnectRequest{ConnectorId: args[0], Name: args[1]}
	if err := json.NewDecoder(os.Stdin).Decode(&request.Credentials); err != nil { // never in an argument list
		return fmt.Errorf("no credentials on stdin: %w", err)
	}
	return persist(func(gateway *gateway, _ func()) error {
		ctx, cancel := gateway.context(callLimit)
		defer cancel()
		made, err := gateway.connections.Connect(ctx, request)
		if err == nil {
			fmt.Println(made.Connection.Id)
		}
		return err
	})
}

func submit(args []string) error {
	// The same request id gets the same job, so that a lost answer is asked for again.
	request := &pb.SubmitJobRequest{ConnectionId: args[0], RequestId: args[1], Config: &jobpb.TrainingConfig{}}
	config, err := io.ReadAll(os.Stdin)
	if err == nil {
		err = protojson.Unmarshal(config, request.Config)
	}
	if err != nil {
		return fmt.Errorf("no config on stdin: %w", err)
	}
	return persist(func(gateway *gateway, _ func()) error {
		ctx, cancel := gateway.context(callLimit)
		defer cancel()
		submitted, err := gateway.jobs.SubmitJob(ctx, request)
		if err == nil {
			fmt.Println(submitted.Job.Id)
		}
		return err
	})
}

func follow(args []string) error {
	after, err := strconv.ParseUint("0"+args[1], 10, 64)
	if err != nil {
		return err
	}
	state := jobpb.JobState_JOB_STATE_UNSPECIFIED
	err = persist(func(gateway *gateway, progress func()) error {
		ctx, cancel := context.WithCancel(gateway.authorized())
		defer cancel()
		silence := time.AfterFunc(silenceLimit, cancel)
		defer silence.Stop()
		start := &pb.StreamLogsRequest_AfterSeq{AfterSeq: after}
		stream, err := gateway.jobs.StreamLogs(ctx, &pb.StreamLogsRequest{JobId: args[0], Follow: true, Start: start})
		for err == nil {
			var message *pb.StreamLogsResponse
			if message, err = receive(stream.Recv()); err != nil {
				break
			}
			silence.Reset(silenceLimit)
			progress()
			if message.Gap != nil {
				log.Print("lines are missing here: ", message.Gap.Why)
			}
			for _, line := range message.Lines {
				fmt.Println(line.Text)
			}
			after = message.NextAfterSeq
			if message.End != nil {
				state = message.End.FinalState
				return nil
			}
		}
		return err
	})
	if err == nil && state != jobpb.JobState_JOB_STATE_SUCCEEDED {
		err = fmt.Errorf("the job ended as %s", state)
	}
	return err
}
