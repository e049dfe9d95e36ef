package main

import (
	"context"
	"crypto/subtle"
	"net"
	"os"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"

	pb "workbench-go-connector/gen/peftstudio/connector/v1"
)

const (
	serviceName   = "peftstudio.connector.v1.ConnectorService"
	healthPrefix  = "/grpc.health.v1.Health/"
	leastPing     = 500 * time.Millisecond // between two of the gateway's pings; Go's own default closes the connection
	flushDuration = 200 * time.Millisecond // for the last answers to leave: who watches health would keep the server open
)

// The servers, the tokens both ways, and the end.
type front struct {
	boot    bootstrap
	service *service
	server  *grpc.Server
	health  *health.Server
	once    sync.Once
	ended   chan struct{}
}

func listen(boot bootstrap, service *service) (*front, error) {
	f := &front{boot: boot, service: service, health: health.NewServer(), ended: make(chan struct{})}
	pings := grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: leastPing, PermitWithoutStream: true})
	f.server = grpc.NewServer(pings, grpc.UnaryInterceptor(f.unary), grpc.StreamInterceptor(f.stream))
	service.draining = make(chan struct{})
	service.shutdown = func(grace time.Duration) { go f.end(grace) }
	pb.RegisterConnectorServiceServer(f.server, service)
	aside := grpc.NewServer(pings)
	for _, server := range []*grpc.Server{f.server, aside} {
		healthpb.RegisterHealthServer(server, f.health)
	}
	f.health.SetServingStatus(serviceName, healthpb.HealthCheckResponse_SERVING)
	for path, server := range map[string]*grpc.Server{boot.Socket: f.server, boot.Socket + ".health": aside} {
		_ = os.Remove(path)
		socket, err := net.Listen("unix", path)
		if err != nil {
			return nil, err
		}
		if err := os.Chmod(path, 0o600); err != nil {
			return nil, err
		}
		go func(server *grpc.Server) { _ = server.Serve(socket) }(server)
	}
	return f, nil
}

// Refuse what is new, finish what is under way, and be done; the second call waits for the first.
func (f *front) end(grace time.Duration) {
	f.once.Do(func() {
		f.health.Shutdown()
		f.service.drain()
		finished := make(chan struct{})
		go func() {
			f.service.underWay.Wait()
			time.Sleep(flushDuration)
			close(finished)
		}()
		select {
		case <-finished:
		case <-time.After(grace):
		}
		f.server.Stop()
		close(f.ended)
	})
}

func (f *front) unary(ctx context.Context, request any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	if isHealth(info.FullMethod) {
		return handler(ctx, request)
	}
	if err := f.admit(ctx, func(md metadata.MD) error { return grpc.SetHeader(ctx, md) }); err != nil {
		return nil, asStatus(err, info.FullMethod)
	}
	defer f.service.underWay.Done()
	answer, err := handler(ctx, request)
	return answer, asStatus(err, info.FullMethod)
}

func (f *front) stream(service any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	if isHealth(info.FullMethod) {
		return handler(service, stream)
	}
	if err := f.admit(stream.Context(), stream.SetHeader); err != nil {
		return asStatus(err, info.FullMethod)
	}
	defer f.service.underWay.Done()
	return asStatus(handler(service, stream), info.FullMethod)
}

// Let the gateway in, and prove to it, and to none else, who this is.
func (f *front) admit(ctx context.Context, prove func(metadata.MD) error) error {
	md, _ := metadata.FromIncomingContext(ctx)
	given := append(md.Get("authorization"), "")[0]
	if subtle.ConstantTimeCompare([]byte(given), []byte("Bearer "+f.boot.GatewayToken)) != 1 {
		return failure("CREDENTIALS_REJECTED", "this is not the gateway's token")
	}
	if err := prove(metadata.Pairs("x-connector-token", f.boot.ConnectorToken)); err != nil {
		return err
	}
	return f.service.enter()
}

func isHealth(method string) bool {
	return len(method) > len(healthPrefix) && method[:len(healthPrefix)] == healthPrefix
}
