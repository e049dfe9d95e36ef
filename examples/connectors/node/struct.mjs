// google.protobuf.Struct to and from plain values: proto-loader leaves it as it is on the wire.

const KINDS = { boolean: 'boolValue', number: 'numberValue', string: 'stringValue' };

export function toStruct(object) {
  return { fields: Object.fromEntries(Object.entries(object).map(([key, value]) => [key, toValue(value)])) };
}

export function fromStruct(struct) {
  return Object.fromEntries(Object.entries(struct?.fields ?? {}).map(([key, value]) => [key, fromValue(value)]));
}

function toValue(value) {
  if (value === null) return { nullValue: 0 };
  if (Array.isArray(value)) return { listValue: { values: value.map(toValue) } };
  if (typeof value === 'object') return { structValue: toStruct(value) };
  return { [KINDS[typeof value]]: value };
}

function fromValue(value) {
  if (value.kind === 'listValue') return value.listValue.values.map(fromValue);
  if (value.kind === 'structValue') return fromStruct(value.structValue);
  return value.kind === 'nullValue' ? null : value[value.kind];
}
