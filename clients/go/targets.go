package runstore

import (
	"regexp"
	"strconv"
)

var (
	// What gRPC resolves itself; it takes any other scheme for the name of a host.
	resolvedTarget = regexp.MustCompile(
		`^(?i:dns|ipv4|ipv6|unix|unix-abstract|vsock|xds|google-c2p|passthrough):`,
	)
	schemeOfTarget = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]*://`)
	hostAndPort    = regexp.MustCompile(`^(?:\[[0-9A-Fa-f:.%]+\]|[^\s:/\[\]@]+):([0-9]+)$`)
)

const maxPort = 65535

// checkTarget fails for an address that no server can have.
func checkTarget(target string) error {
	found := hostAndPort.FindStringSubmatch(target)
	if found == nil && resolvedTarget.MatchString(target) {
		return nil
	}
	if scheme := schemeOfTarget.FindString(target); scheme != "" {
		return &InvalidArgumentError{
			"target", "must be host:port, such as localhost:7411, without " + scheme + "; is " + strconv.Quote(target),
		}
	}
	if found == nil {
		return &InvalidArgumentError{
			"target", "must be host:port, such as localhost:7411; is " + strconv.Quote(target),
		}
	}
	if port, err := strconv.Atoi(found[1]); err != nil || port < 1 || port > maxPort {
		return &InvalidArgumentError{
			"target", "must have a port of 1.." + strconv.Itoa(maxPort) + "; is " + strconv.Quote(target),
		}
	}
	return nil
}
