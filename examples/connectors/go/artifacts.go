package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"strings"

	"google.golang.org/protobuf/proto"

	pb "workbench-go-connector/gen/peftstudio/connector/v1"
	jobpb "workbench-go-connector/gen/peftstudio/job/v1"
)

const chunkBytes = 256 * 1024 // the contract allows 1 MiB

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func (s *service) ListArtifacts(_ context.Context, request *pb.ListArtifactsRequest) (*pb.ListArtifactsResponse, error) {
	found, err := s.job(request)
	if err != nil {
		return nil, err
	}
	files, err := found.files()
	answer := &pb.ListArtifactsResponse{}
	for _, one := range files {
		kind := jobpb.ArtifactKind_ARTIFACT_KIND_OTHER
		if strings.HasPrefix(one.id, "adapter") {
			kind = jobpb.ArtifactKind_ARTIFACT_KIND_ADAPTER
		}
		answer.Artifacts = append(answer.Artifacts, &jobpb.Artifact{
			Id: one.id, Path: one.id, Kind: kind, Sha256: one.sha256, Etag: one.etag,
			Size: proto.Int64(one.size),
		})
	}
	return answer, err
}

func (s *service) FetchArtifact(request *pb.FetchArtifactRequest, stream pb.ConnectorService_FetchArtifactServer) error {
	found, err := s.artifact(request)
	if err != nil {
		return err
	}
	if request.IfEtag != "" && request.IfEtag != found.etag {
		return failure("ARTIFACT_CHANGED", "the file changed; fetch it from its beginning")
	}
	if request.Offset < 0 || request.Offset > found.size {
		return failure("BAD_OFFSET", fmt.Sprintf("the file has %d bytes", found.size))
	}
	opened, err := os.Open(found.path)
	if err != nil {
		return err
	}
	defer opened.Close()
	first := &pb.FetchArtifactResponse{Sha256: found.sha256, Size: proto.Int64(found.size)}
	if err := stream.Send(first); err != nil {
		return err
	}
	block := make([]byte, chunkBytes)
	source := io.NewSectionReader(opened, 0, found.size)
	for offset := request.Offset; offset < found.size; {
		count, err := source.ReadAt(block, offset)
		if count == 0 {
			return err
		}
		if err := stream.Send(&pb.FetchArtifactResponse{Chunk: chunk(offset, block[:count])}); err != nil {
			return err
		}
		offset += int64(count)
	}
	return nil
}

func (s *service) artifact(request *pb.FetchArtifactRequest) (*file, error) {
	found, err := s.job(request)
	if err != nil {
		return nil, err
	}
	files, err := found.files()
	for _, one := range files {
		if one.id == request.ArtifactId {
			return &one, nil
		}
	}
	if err == nil {
		err = notFound("artifact", request.ArtifactId)
	}
	return nil, err
}

func chunk(offset int64, data []byte) *jobpb.Chunk {
	return &jobpb.Chunk{Offset: offset, Data: data, Crc32C: proto.Uint32(crc32.Checksum(data, castagnoli))}
}

func (s *service) UploadArtifact(stream pb.ConnectorService_UploadArtifactServer) error {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	header := first.GetHeader()
	if header == nil {
		return invalidConfig(map[string]string{"header": "the first message has none"})
	}
	opened, err := s.account(header)
	if err != nil {
		return err
	}
	draft, err := os.CreateTemp(filepath.Join(opened.folder, "registry"), ".upload-")
	if err != nil {
		return err
	}
	defer os.Remove(draft.Name())
	defer draft.Close()
	digest, err := receive(stream, draft, header)
	if err != nil {
		return err
	}
	if err := os.Rename(draft.Name(), filepath.Join(opened.folder, "registry", digest)); err != nil {
		return err
	}
	return stream.SendAndClose(&pb.UploadArtifactResponse{ArtifactId: digest})
}

// Write the bytes that come, and return their sum if it is the one that was announced.
func receive(stream pb.ConnectorService_UploadArtifactServer, draft io.Writer, header *pb.UploadHeader) (string, error) {
	hash, received := sha256.New(), int64(0)
	both := io.MultiWriter(draft, hash)
	for {
		message, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return "", err
		}
		piece := message.GetChunk()
		if piece.GetOffset() != received {
			return "", invalidConfig(map[string]string{"chunk.offset": fmt.Sprintf("is not %d", received)})
		}
		if _, err := both.Write(piece.GetData()); err != nil {
			return "", err
		}
		received += int64(len(piece.GetData()))
	}
	digest := hex.EncodeToString(hash.Sum(nil))
	if digest != header.Sha256 || received != header.Size {
		return "", failure("CHECKSUM_MISMATCH", fmt.Sprintf("%d bytes with the sum %s arrived; send them again", received, digest))
	}
	return digest, nil
}
