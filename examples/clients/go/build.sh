#!/bin/sh
# Builds the client with Debian's Go packages: nothing is downloaded.
#   build.sh [FOLDER]     default: this folder
set -eu
here=$(cd "$(dirname "$0")" && pwd)
out=${1:-$here}
mkdir -p "$out"
sh "$here/../../go_stubs.sh" "$out/.gopath" gateway job
cd "$here"
GO111MODULE=off GOPATH="$out/.gopath:/usr/share/gocode" go build -o "$out/client-go" .
