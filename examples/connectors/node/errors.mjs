// Errors as docs/protocol.md wants them: a google.rpc.Status in `grpc-status-details-bin`.
import { Metadata, status } from '@grpc/grpc-js';
import protobuf from 'protobufjs';

const { root } = protobuf.parse(`
  syntax = "proto3";
  package google.rpc;
  message Any { string type_url = 1; bytes value = 2; }
  message Status { int32 code = 1; string message = 2; repeated Any details = 3; }
  message ErrorInfo { string reason = 1; string domain = 2; map<string, string> metadata = 3; }
  message BadRequest {
    message FieldViolation { string field = 1; string description = 2; }
    repeated FieldViolation field_violations = 1;
  }
  message Duration { int64 seconds = 1; }
  message RetryInfo { Duration retry_delay = 1; }
  message ResourceInfo { string resource_type = 1; string resource_name = 2; }`, { keepCase: true });

const CODES = {
  ARTIFACT_CHANGED: status.FAILED_PRECONDITION,
  BAD_OFFSET: status.OUT_OF_RANGE,
  CHECKSUM_MISMATCH: status.DATA_LOSS,
  CONNECTOR_BUG: status.INTERNAL,
  CONNECTOR_DOWN: status.UNAVAILABLE,
  CREDENTIALS_REJECTED: status.UNAUTHENTICATED,
  CURSOR_EXPIRED: status.OUT_OF_RANGE,
  INVALID_CONFIG: status.INVALID_ARGUMENT,
  NOT_CONNECTED: status.FAILED_PRECONDITION,
  NOT_FOUND: status.NOT_FOUND,
  UNSUPPORTED: status.UNIMPLEMENTED,
};

/** A call that fails for a reason of docs/errors.md. */
export class ConnectorError extends Error {
  constructor(reason, message, details = []) {
    super(message);
    this.reason = reason;
    this.details = details;
  }
}

/** A text of the caller's, fit for an error: all of an error has 4 KiB at most. */
export const clip = (text) => (text.length > 200 ? `${text.slice(0, 200)}…` : text);

export function notFound(type, given) {
  const name = clip(given);
  const details = [['ResourceInfo', { resource_type: type, resource_name: name }]];
  return new ConnectorError('NOT_FOUND', `there is no ${type} ${name}`, details);
}

/** All fields that cannot be used, at once: `{field: what is wrong}`. */
export function invalidConfig(fields) {
  const violations = Object.entries(fields).map(([field, description]) => ({ field, description }));
  const message = violations.map(({ field, description }) => `${field}: ${description}`).join('; ');
  return new ConnectorError('INVALID_CONFIG', message, [['BadRequest', { field_violations: violations }]]);
}

export function ending() {
  const details = [['RetryInfo', { retry_delay: { seconds: 1 } }]];
  return new ConnectorError('CONNECTOR_DOWN', 'the connector is ending; another takes its place', details);
}

/** What grpc-js sends for an error. One that nobody foresaw goes to the log with its stack, and out without it. */
export function asStatus(error) {
  if (!(error instanceof ConnectorError)) {
    console.error(error);
    error = new ConnectorError('CONNECTOR_BUG', 'the connector has a bug; its log has the details');
  }
  const code = CODES[error.reason];
  const details = [['ErrorInfo', { reason: error.reason, domain: 'peftstudio' }], ...error.details].map(pack);
  const metadata = new Metadata();
  metadata.set('grpc-status-details-bin', encode('Status', { code, message: error.message, details }));
  return { code, details: error.message, metadata };
}

function pack([type, value]) {
  return { type_url: `type.googleapis.com/google.rpc.${type}`, value: encode(type, value) };
}

function encode(type, value) {
  const message = root.lookupType(`google.rpc.${type}`);
  return Buffer.from(message.encode(message.fromObject(value)).finish());
}
