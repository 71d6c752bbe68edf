package aws

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"strings"
)

// GlobalRegion stands for the global endpoint of STS, https://sts.amazonaws.com, which a
// Vault asks that has no sts_endpoint. Requests to it are signed for us-east-1.
const GlobalRegion = "aws-global"

// suffixes are the domains of regions that are not below amazonaws.com: those of AWS's other
// partitions.
var suffixes = []struct{ prefix, domain string }{
	{"cn-", "amazonaws.com.cn"},
	{"eusc-", "amazonaws.eu"},
	{"us-iso-", "c2s.ic.gov"},
	{"us-isob-", "sc2s.sgov.gov"},
	{"eu-isoe-", "cloud.adc-e.uk"},
	{"us-isof-", "csp.hci.ic.gov"},
}

// regionName is what a region's name looks like. It becomes part of a host's name.
var regionName = regexp.MustCompile(`^[a-z]+(-[a-z]+)+-\d+$`)

// target returns the URL of STS to sign for, and the region of the signature's scope.
func target(region, endpoint string) (*url.URL, string, error) {
	host, scope, domain := "sts."+region, region, "amazonaws.com"
	switch {
	case region == "":
		return nil, "", errors.New("the region is empty: pass that of the STS endpoint which Vault asks, such as cfg.Region, or aws.GlobalRegion")
	case region == GlobalRegion:
		host, scope = "sts", "us-east-1"
	case !regionName.MatchString(region):
		return nil, "", fmt.Errorf("%q is no region's name, such as eu-west-1, nor aws.GlobalRegion", region)
	}
	if endpoint != "" {
		u, err := custom(endpoint)
		if err != nil {
			return nil, "", err
		}
		if of := regionOf(u.Hostname()); of != "" && of != scope {
			return nil, "", fmt.Errorf("the STS endpoint %s takes signatures for %s, and the region is %s", u.Host, of, scope)
		}
		return u, scope, nil
	}
	for _, s := range suffixes {
		if strings.HasPrefix(region, s.prefix) {
			domain = s.domain
		}
	}
	return &url.URL{Scheme: "https", Host: host + "." + domain, Path: "/"}, scope, nil
}

// awsHost is a name that AWS gave an endpoint of STS.
var awsHost = regexp.MustCompile(`(?:^|\.)sts(?:-fips)?\.(?:([a-z-]+-\d+)\.)?(?:vpce\.)?(?:amazonaws\.|api\.aws$)`)

// regionOf returns the region that an endpoint takes signatures for, if its name tells.
func regionOf(host string) string {
	m := awsHost.FindStringSubmatch(strings.ToLower(host))
	switch {
	case m == nil:
		return ""
	case m[1] == "":
		return "us-east-1" // the global one
	}
	return m[1]
}

// custom reads the URL of an endpoint that the user gave.
func custom(endpoint string) (*url.URL, error) {
	const want = "the STS endpoint must be like https://sts.eu-west-1.amazonaws.com"
	u, err := url.Parse(endpoint)
	if err != nil {
		return nil, errors.New(want) // the error would show the URL, with what is secret in it
	}
	switch {
	case u.Scheme != "https" && u.Scheme != "http", u.Hostname() == "":
		return nil, errors.New(want)
	case u.User != nil, u.RawQuery != "", u.ForceQuery, u.Fragment != "":
		return nil, errors.New(want + ", without user, query and fragment")
	}
	// The signature covers a Host without the scheme's own port, and Vault sends what is in
	// the URL.
	if host, port, err := net.SplitHostPort(u.Host); err == nil && port == map[string]string{"https": "443", "http": "80"}[u.Scheme] {
		u.Host = host
		if strings.Contains(host, ":") {
			u.Host = "[" + host + "]"
		}
	}
	if u.Path == "" {
		u.Path = "/"
	}
	return u, nil
}
