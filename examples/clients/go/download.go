package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"
	"strings"
	"time"

	pb "client-go/gen/peftstudio/gateway/v1"
	jobpb "client-go/gen/peftstudio/job/v1"
)

// Fetch all files of a job: resumed where they were cut, by whatever it was, and renamed only once their sum is right.
func download(args []string) error {
	jobID := args[0]
	folder, err := filepath.Abs(args[1])
	if err != nil {
		return err
	}
	var artifacts []*jobpb.Artifact
	err = persist(func(gateway *gateway, _ func()) (err error) {
		artifacts, err = list(gateway, jobID)
		return err
	})
	if err != nil {
		return err
	}
	for _, artifact := range artifacts {
		target := filepath.Join(folder, filepath.FromSlash(artifact.Path))
		if !strings.HasPrefix(target, folder+string(filepath.Separator)) {
			return fmt.Errorf("%s leads out of the folder", artifact.Path)
		}
		if err := os.MkdirAll(filepath.Dir(target), 0o777); err != nil {
			return err
		}
		if err := fetch(jobID, artifact, target); err != nil {
			return err
		}
		fmt.Println(target)
	}
	return nil
}

func list(gateway *gateway, jobID string) (artifacts []*jobpb.Artifact, err error) {
	request := &pb.ListArtifactsRequest{JobId: jobID}
	for {
		ctx, cancel := gateway.context(callLimit)
		page, err := gateway.artifacts.ListArtifacts(ctx, request)
		cancel()
		if err != nil {
			return nil, err
		}
		artifacts = append(artifacts, page.Artifacts...)
		if request.PageToken = page.NextPageToken; request.PageToken == "" {
			return artifacts, nil
		}
	}
}

func fetch(jobID string, artifact *jobpb.Artifact, target string) error {
	part := target + ".part"
	// If what an earlier run left was of other bytes, whatever the file is now is wanted, and proved at its end.
	for _, etag := range []string{artifact.Etag, ""} {
		request := &pb.FetchArtifactRequest{JobId: jobID, ArtifactId: artifact.Id, IfEtag: etag}
		isWhole := false
		err := persist(func(gateway *gateway, progress func()) (err error) {
			isWhole, err = fetchRest(gateway, progress, request, part)
			return err
		})
		if err != nil {
			return err
		}
		if isWhole {
			return os.Rename(part, target)
		}
		if err := os.Remove(part); err != nil {
			return err
		}
	}
	return fmt.Errorf("%s is not what the gateway says it is; nothing was kept", artifact.Path)
}

// Append what is missing; tells whether the whole has the size and the SHA-256 that it should have.
func fetchRest(gateway *gateway, progress func(), request *pb.FetchArtifactRequest, part string) (bool, error) {
	file, err := os.OpenFile(part, os.O_CREATE|os.O_RDWR, 0o666)
	if err != nil {
		return false, err
	}
	defer file.Close()
	hash := sha256.New()
	if request.Offset, err = io.Copy(hash, file); err != nil { // and the file stands at its end
		return false, err
	}
	if request.Offset > 0 {
		log.Printf("%s resumed at %d", request.ArtifactId, request.Offset)
	}
	ctx, cancel := context.WithCancel(gateway.authorized())
	defer cancel()
	silence := time.AfterFunc(silenceLimit, cancel)
	defer silence.Stop()
	stream, err := gateway.artifacts.FetchArtifact(ctx, request)
	for offset := request.Offset; err == nil; progress() {
		var message *pb.FetchArtifactResponse
		if message, err = receive(stream.Recv()); err != nil {
			break
		}
		silence.Reset(silenceLimit)
		if whole := message.Artifact; whole != nil {
			isWhole := whole.GetSize() == offset && whole.Sha256 == hex.EncodeToString(hash.Sum(nil))
			return isWhole, file.Sync()
		}
		if message.Chunk.Offset != offset {
			return false, fmt.Errorf("%s has a hole at %d", request.ArtifactId, offset)
		}
		if _, err = io.MultiWriter(file, hash).Write(message.Chunk.Data); err == nil {
			offset += int64(len(message.Chunk.Data))
		}
	}
	if reason := reasonOf(err); reason == "ARTIFACT_CHANGED" || reason == "BAD_OFFSET" {
		return false, nil // begin again
	}
	return false, err
}
