package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"time"
)

// healthCmd is for a container's health check: the image has no curl.
type healthCmd struct {
	Addr    string        `env:"SHOP_ADDR" default:"127.0.0.1:8080" help:"Address that serve listens on, on this machine."`
	Timeout time.Duration `default:"2s" help:"How long the answer may take."`
}

// Run succeeds when /readyz is answered 200, also by a shop that has only replicas.
func (c *healthCmd) Run(ctx context.Context, app *app) error {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	host, err := reachable(c.Addr)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+host+"/readyz", nil)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, 4096))
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("not ready: %s: %s", res.Status, body)
	}
	_, err = fmt.Fprintf(app.stdout, "%s\n", body)
	return err
}

// reachable turns an address to listen on into one to dial: ":8080" is every
// interface, of which loopback is one.
func reachable(addr string) (string, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return "", fmt.Errorf("--addr, SHOP_ADDR: %q is not host:port", addr)
	}
	ip, err := netip.ParseAddr(host)
	switch {
	case host == "" || err == nil && ip.Is4() && ip.IsUnspecified():
		host = "127.0.0.1"
	case err == nil && ip.IsUnspecified():
		host = "::1"
	}
	return net.JoinHostPort(host, port), nil
}
