package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"regexp"
	"sort"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
)

var codeOf = map[string]codes.Code{
	"ARTIFACT_CHANGED":     codes.FailedPrecondition,
	"BAD_OFFSET":           codes.OutOfRange,
	"CHECKSUM_MISMATCH":    codes.DataLoss,
	"CONNECTOR_BUG":        codes.Internal,
	"CONNECTOR_DOWN":       codes.Unavailable,
	"CREDENTIALS_REJECTED": codes.Unauthenticated,
	"CURSOR_EXPIRED":       codes.OutOfRange,
	"INVALID_CONFIG":       codes.InvalidArgument,
	"NOT_CONNECTED":        codes.FailedPrecondition,
	"NOT_FOUND":            codes.NotFound,
	"UNSUPPORTED":          codes.Unimplemented,
}

// A call that fails for a reason of docs/errors.md.
type connectorError struct {
	reason, message string
	details         []detail
}

// A message of google/rpc/error_details.proto.
type detail interface {
	Reset()
	String() string
	ProtoMessage()
}

func (e *connectorError) Error() string { return e.message }

func failure(reason, message string, details ...detail) error {
	return failureOf(reason, message, details...)
}

func failureOf(reason, message string, details ...detail) *connectorError {
	return &connectorError{reason, message, details}
}

// A text of the caller's, fit for an error: all of an error has 4 KiB at most.
func clip(text string) string {
	if len(text) > 200 {
		return strings.ToValidUTF8(text[:200], "") + "…"
	}
	return text
}

func notFound(kind, given string) error {
	name := clip(given)
	details := &errdetails.ResourceInfo{ResourceType: kind, ResourceName: name}
	return failure("NOT_FOUND", fmt.Sprintf("there is no %s %s", kind, name), details)
}

func ending() error {
	details := &errdetails.RetryInfo{RetryDelay: durationpb.New(time.Second)}
	return failure("CONNECTOR_DOWN", "the connector is ending; another takes its place", details)
}

// All fields that cannot be used, at once.
func invalidConfig(fields map[string]string) error {
	bad, words := &errdetails.BadRequest{}, []string{}
	for field, description := range fields {
		bad.FieldViolations = append(bad.FieldViolations, &errdetails.BadRequest_FieldViolation{Field: field, Description: description})
		words = append(words, field+": "+description)
	}
	sort.Strings(words)
	return failure("INVALID_CONFIG", strings.Join(words, "; "), bad)
}

// What goes over the wire. An error that nobody foresaw goes to the log, and out without its text.
func asStatus(err error, method string) error {
	if err == nil {
		return nil
	}
	var known *connectorError
	if !errors.As(err, &known) {
		switch told, isStatus := status.FromError(err); {
		case isStatus && told.Code() == codes.Unimplemented: // what the generated code says of a method that is not there
			known = failureOf("UNSUPPORTED", "this connector does not offer "+capability(method))
		case isStatus:
			return err
		case errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded): // the caller went away
			return status.FromContextError(err).Err()
		default:
			log.Print(err)
			known = failureOf("CONNECTOR_BUG", "the connector has a bug; its log has the details")
		}
	}
	made := status.New(codeOf[known.reason], known.message)
	details := append([]detail{&errdetails.ErrorInfo{Reason: known.reason, Domain: "peftstudio"}}, known.details...)
	for _, one := range details {
		if made, err = made.WithDetails(one); err != nil {
			return err
		}
	}
	return made.Err()
}

// BatchGetJobStatus is the capability batch_get_job_status.
func capability(method string) string {
	name := method[strings.LastIndexByte(method, '/')+1:]
	return strings.ToLower(strings.TrimPrefix(capital.ReplaceAllString(name, "_$0"), "_"))
}

var capital = regexp.MustCompile("[A-Z]")
