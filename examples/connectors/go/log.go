package main

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	pb "workbench-go-connector/gen/peftstudio/connector/v1"
	jobpb "workbench-go-connector/gen/peftstudio/job/v1"
)

const (
	blockBytes = 64 * 1024
	lineBytes  = 64 * 1024              // the contract's limit
	lookEvery  = 100 * time.Millisecond // how soon a new line is seen
	signOfLife = 5 * time.Second        // the protocol wants one every 10 s
)

// A log file as batches of lines. The cursor is the offset in the file behind the last line of a batch.
type logReader struct {
	path   string
	offset int64
	head   []byte // of a line whose end has not come; no longer than a line may be
	size   int    // of that line, all of it
}

// Read what is there now. Without lines there is nothing new; the cursor is "" where no line ended.
func (r *logReader) batch() (lines []*jobpb.LogLine, cursor string, isEmpty bool, err error) {
	block, err := readAt(r.path, r.offset)
	if err != nil || len(block) == 0 {
		return nil, "", true, err
	}
	start := r.offset
	rest := block
	for {
		end := bytes.IndexByte(rest, '\n')
		if end < 0 {
			break
		}
		r.keep(rest[:end])
		lines = append(lines, r.take())
		rest = rest[end+1:]
	}
	r.keep(rest)
	r.offset = start + int64(len(block))
	if len(lines) > 0 {
		cursor = strconv.FormatInt(r.offset-int64(len(rest)), 10)
	}
	return lines, cursor, false, nil
}

// The line that never got its end, once the log has ended.
func (r *logReader) last() *pb.StreamLogsResponse {
	answer := &pb.StreamLogsResponse{End: true}
	if r.size > 0 {
		answer.Lines = []*jobpb.LogLine{r.take()}
		answer.Cursor = strconv.FormatInt(r.offset, 10)
	}
	return answer
}

func (r *logReader) keep(piece []byte) {
	r.size += len(piece)
	if room := lineBytes - len(r.head); len(piece) > room {
		piece = piece[:room]
	}
	r.head = append(r.head, piece...)
}

func (r *logReader) take() *jobpb.LogLine {
	text := strings.ToValidUTF8(string(r.head), "\uFFFD") // may grow by it
	truncated := r.size > lineBytes || len(text) > lineBytes
	if len(text) > lineBytes {
		text = strings.ToValidUTF8(text[:lineBytes], "")
	}
	r.head, r.size = nil, 0
	return &jobpb.LogLine{
		Text: text, Truncated: truncated, Attempt: 1, Stream: jobpb.LogStream_LOG_STREAM_STDOUT, Time: timestamppb.Now(),
	}
}

// A file that is not there yet is empty.
func readAt(path string, offset int64) ([]byte, error) {
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	block := make([]byte, blockBytes)
	count, err := file.ReadAt(block, offset)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return block[:count], err
}
