#!/bin/sh
# Makes Go code of the contract with Debian's generators (.ci/run has the packages' names): nothing is downloaded.
#   go_stubs.sh FOLDER PACKAGE...     e.g. connector, gateway, job; build with GO111MODULE=off GOPATH=FOLDER:/usr/share/gocode
set -eu
protos=$(cd "$(dirname "$0")/../protos" && pwd)
out=$1
shift
rm -rf "$out/src" "$out/protos"
mkdir -p "$out/src"
cp -R "$protos" "$out/protos"
# Debian's generator for gRPC 1.33 is of before `optional`, which is a oneof of its own, on the wire and in meaning.
find "$out/protos" -name '*.proto' -exec sed -i.old -E 's/^ *optional (\w+) (\w+) = ([0-9]+);/oneof _\2 { \1 \2 = \3; }/' {} +
known=github.com/golang/protobuf/ptypes
well=Mgoogle/protobuf/struct.proto=$known/struct,Mgoogle/protobuf/duration.proto=$known/duration
well=$well,Mgoogle/protobuf/timestamp.proto=$known/timestamp
for package in "$@"; do
  protoc -I "$out/protos" --go_out="$well:$out/src" --go-grpc_out="$out/src" "$out/protos/peftstudio/$package"/v1/*.proto
done
