package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"math/rand"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/local"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	pb "client-go/gen/peftstudio/gateway/v1"
)

const (
	patience     = 2 * time.Minute // a gateway that is away for longer needs a person
	firstPause   = 100 * time.Millisecond
	longestPause = 3 * time.Second
)

// The gateway of this machine, and its services.
type gateway struct {
	token       string
	channel     *grpc.ClientConn
	connections pb.ConnectionsServiceClient
	jobs        pb.JobsServiceClient
	artifacts   pb.ArtifactsServiceClient
}

type location struct {
	Address string `json:"address"`
	TLS     bool   `json:"tls"`
	token   string
}

// Where the gateway is, anew whenever it is asked: one that restarts may come up on another port.
func locate() (found location, err error) {
	folder := dataFolder()
	if address := os.Getenv("PEFTSTUDIO_ADDRESS"); address != "" {
		found = location{Address: address, TLS: os.Getenv("PEFTSTUDIO_CA_FILE") != ""}
	} else {
		text, err := os.ReadFile(filepath.Join(folder, "endpoint.json"))
		if err != nil {
			return found, fmt.Errorf("no gateway is running here: %w", err)
		}
		if err := json.Unmarshal(text, &found); err != nil {
			return found, err
		}
	}
	file := os.Getenv("PEFTSTUDIO_TOKEN_FILE")
	if file == "" && isHere(found.Address) { // the token in the data folder is for the gateway of this machine alone
		file = filepath.Join(folder, "token")
	}
	if file != "" {
		text, err := os.ReadFile(file)
		if err != nil {
			return found, err
		}
		found.token = strings.TrimSpace(string(text))
	}
	return found, nil
}

func dataFolder() string {
	if folder := os.Getenv("PEFTSTUDIO_DATA_DIR"); folder != "" {
		return folder
	}
	home := os.Getenv("HOME")
	if runtime.GOOS == "darwin" {
		return filepath.Join(home, "Library", "Application Support", "peftstudio-connect")
	}
	if data := os.Getenv("XDG_DATA_HOME"); data != "" {
		return filepath.Join(data, "peftstudio-connect")
	}
	return filepath.Join(home, ".local", "share", "peftstudio-connect")
}

func isHere(address string) bool {
	for _, start := range []string{"127.", "localhost:", "[::1]:", "unix:"} {
		if strings.HasPrefix(address, start) {
			return true
		}
	}
	return false
}

func dial() (*gateway, error) {
	found, err := locate()
	if err != nil {
		return nil, err
	}
	secure, err := security(found)
	if err != nil {
		return nil, err
	}
	channel, err := grpc.Dial(found.Address, secure)
	if err != nil {
		return nil, err
	}
	return &gateway{
		found.token, channel,
		pb.NewConnectionsServiceClient(channel), pb.NewJobsServiceClient(channel), pb.NewArtifactsServiceClient(channel),
	}, nil
}

func security(found location) (grpc.DialOption, error) {
	if !found.TLS {
		return grpc.WithTransportCredentials(local.NewCredentials()), nil // refuses to leave this machine
	}
	settings := &tls.Config{MinVersion: tls.VersionTLS12}
	if file := os.Getenv("PEFTSTUDIO_CA_FILE"); file != "" {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		settings.RootCAs = x509.NewCertPool()
		settings.RootCAs.AppendCertsFromPEM(text)
	}
	return grpc.WithTransportCredentials(credentials.NewTLS(settings)), nil
}

func (g *gateway) authorized() context.Context {
	if g.token == "" {
		return context.Background()
	}
	return metadata.AppendToOutgoingContext(context.Background(), "authorization", "Bearer "+g.token)
}

func (g *gateway) context(limit time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(g.authorized(), limit)
}

// Do something that may be done again, until the gateway is there for it. `work` calls `progress` when it got somewhere.
func persist(work func(gateway *gateway, progress func()) error) error {
	pause, since := firstPause, time.Now()
	progress := func() { pause, since = firstPause, time.Now() }
	for {
		gateway, err := dial()
		if err == nil {
			err = work(gateway, progress)
			_ = gateway.channel.Close()
		}
		if err == nil || !isAway(err) || time.Since(since) > patience {
			return err
		}
		log.Printf("the gateway is away (%s); trying again", status.Convert(err).Message())
		time.Sleep(pause/2 + time.Duration(rand.Int63n(int64(pause/2))))
		if pause *= 2; pause > longestPause {
			pause = longestPause
		}
	}
}

func isAway(err error) bool {
	switch status.Code(err) {
	case codes.Unavailable, codes.DeadlineExceeded, codes.Canceled:
		return true
	}
	return errors.Is(err, fs.ErrNotExist) // endpoint.json is there while the gateway runs
}

// An answer of a stream. A stream that ends before its last message was cut.
func receive[T any](message *T, err error) (*T, error) {
	if errors.Is(err, io.EOF) {
		return nil, status.Error(codes.Unavailable, "the stream was cut")
	}
	return message, err
}

// Why a call failed: a reason of docs/errors.md, or "".
func reasonOf(err error) string {
	for _, detail := range status.Convert(err).Details() {
		if info, isInfo := detail.(*errdetails.ErrorInfo); isInfo {
			return info.Reason
		}
	}
	return ""
}
