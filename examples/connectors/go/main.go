// A connector without an SDK: what docs/protocol.md says, in Go. It is started by the gateway, by connector.toml.
//
//	workbench-go FOLDER_OF_PROGRAMS
//	workbench-go run PROGRAM [ARGUMENT]...     a job, in its folder; started by the connector
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	protocol      = 1
	configuration = 78 // exit code: do not start this again before something changes
	termGrace     = 5 * time.Second
)

// What the gateway says on stdin before anything else.
type bootstrap struct {
	Socket         string `json:"socket"`
	GatewayToken   string `json:"gateway_token"`
	ConnectorToken string `json:"connector_token"`
	Protocols      []int  `json:"protocols"`
	WorkDir        string `json:"work_dir"`
}

func main() {
	if len(os.Args) > 2 && os.Args[1] == "run" {
		os.Exit(runJob(os.Args[2:]))
	}
	if len(os.Args) != 2 {
		log.Fatal("usage: workbench-go FOLDER_OF_PROGRAMS; the gateway starts it, see connector.toml")
	}
	syscall.Umask(0o077)
	stdin := bufio.NewReader(os.Stdin)
	line, err := stdin.ReadBytes('\n')
	var boot bootstrap
	if err != nil || json.Unmarshal(line, &boot) != nil {
		refuse("there is no bootstrap on stdin: the gateway starts this, see connector.toml")
	}
	if !speaks(boot.Protocols) {
		refuse(fmt.Sprintf("this connector speaks protocol %d, the gateway %v; update one of them", protocol, boot.Protocols))
	}
	serve(boot, os.Args[1], stdin)
}

func serve(boot bootstrap, programs string, stdin io.Reader) {
	front, err := listen(boot, &service{bench: workbench{folder: boot.WorkDir, programs: programs}})
	if err != nil {
		refuse(err.Error())
	}
	go func() { // the lifeline: when it ends, the gateway is gone
		_, _ = io.Copy(io.Discard, stdin)
		os.Exit(0)
	}()
	terminate := make(chan os.Signal, 1)
	signal.Notify(terminate, syscall.SIGTERM)
	go func() {
		<-terminate
		front.end(termGrace)
	}()
	started, bootID := identity()
	shake(map[string]any{
		"sdk": sdk, "protocol": protocol, "protocols": []int{protocol}, "pid": os.Getpid(), "start_time": started, "boot_id": bootID,
		"address": "unix:" + boot.Socket, "health_address": "unix:" + boot.Socket + ".health",
	})
	<-front.ended
}

func speaks(protocols []int) bool {
	for _, one := range protocols {
		if one == protocol {
			return true
		}
	}
	return false
}

func refuse(why string) {
	shake(map[string]any{"error": why})
	os.Exit(configuration)
}

// Write the line that the gateway waits for on descriptor 3.
func shake(content map[string]any) {
	content["version"] = 1
	pipe := os.NewFile(3, "handshake")
	if err := json.NewEncoder(pipe).Encode(content); err != nil {
		log.Fatal("nobody reads descriptor 3: ", err)
	}
	_ = pipe.Close()
}

// What tells this process from a later one with its id; nil and "" where there is no /proc.
func identity() (any, string) {
	stat, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		return nil, ""
	}
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:])) // from field 3 on
	started, _ := strconv.ParseUint(fields[22-3], 10, 64)
	id, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return started, strings.TrimSpace(string(id))
}
