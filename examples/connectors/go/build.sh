#!/bin/sh
# Builds the connector with Debian's Go packages: nothing is downloaded.
#   build.sh [FOLDER]     default: this folder; into another, the manifest is copied, too
set -eu
here=$(cd "$(dirname "$0")" && pwd)
out=${1:-$here}
mkdir -p "$out"
sh "$here/../../go_stubs.sh" "$out/.gopath" connector job
cd "$here"
GO111MODULE=off GOPATH="$out/.gopath:/usr/share/gocode" go build -o "$out/workbench-go" .
[ "$out" -ef "$here" ] || cp connector.toml "$out"
