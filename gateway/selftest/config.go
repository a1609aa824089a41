package selftest

import (
	"fmt"
	"math"
	"strings"
	"time"
)

// Proxies are the kinds that Config knows.
func Proxies() []string { return []string{"honeyant", "caddy", "nginx", "haproxy"} }

// ConfigOptions say what a configuration is for.
type ConfigOptions struct {
	Origin    *Origin
	Limits    Limits
	Listen    string // address:port for HTTPS
	Cert, Key string // files; Key is inside Cert for HAProxy
	Authority string // file with Origin.Authority
}

// Config is a configuration for the self-test, in which every limit that the proxy has is set as in Limits, so that
// proxies are compared at their best and not at their defaults.
func Config(proxy string, o ConfigOptions) (string, error) {
	switch proxy {
	case "honeyant":
		return honeyantConfig(o), nil
	case "caddy":
		return caddyConfig(o), nil
	case "nginx":
		return nginxConfig(o), nil
	case "haproxy":
		return haproxyConfig(o), nil
	}
	return "", fmt.Errorf("no configuration for %q; there is one for %s", proxy, strings.Join(Proxies(), ", "))
}

func isTLS(port string) bool { return port != portPlain && port != portFull }

func caddyConfig(o ConfigOptions) string {
	l := o.Limits
	var b strings.Builder
	fmt.Fprintf(&b, `{
	admin off
	auto_https off
	persist_config off
	servers {
		protocols h1 h2
		timeouts {
			read_header %[1]s
			read_body_idle %[2]s
			write_idle %[2]s
			idle %[2]s
		}
	}
	grace_period 10s
}
https://%[3]s {
	tls %[4]s %[5]s
`, l.TLS, l.Idle, o.Listen, o.Cert, o.Key)
	for _, port := range Ports() {
		scheme := "http"
		extra := ""
		if isTLS(port) {
			scheme = "https"
			extra = fmt.Sprintf("\n\t\t\ttls_trust_pool file %s\n\t\t\ttls_timeout %s", o.Authority, l.TLS)
		}
		fmt.Fprintf(&b, `	reverse_proxy %s/%s/* %s://%s {
		transport http {
			dial_timeout %s
			response_header_timeout %s
			read_timeout %s
			write_timeout %s%s
		}
	}
`, Prefix, port, scheme, o.Origin.Address(port), l.Connect, l.Header, l.Idle, l.Idle, extra)
	}
	return b.String() + "}\n"
}

// seconds rounds up: nginx knows whole ones for some limits.
func seconds(d time.Duration) string { return fmt.Sprintf("%ds", int(math.Ceil(d.Seconds()))) }

func nginxConfig(o ConfigOptions) string {
	l := o.Limits
	var b strings.Builder
	fmt.Fprintf(&b, `user root; # its workers must get into the directory of the self-test
worker_processes auto;
pid nginx.pid;
error_log nginx-error.log warn;
events { worker_connections 4096; }
http {
  access_log off;
  client_body_temp_path nginx-body; proxy_temp_path nginx-proxy; fastcgi_temp_path nginx-f; uwsgi_temp_path nginx-u; scgi_temp_path nginx-s;
  proxy_http_version 1.1;
  proxy_set_header Connection "";
  proxy_set_header Host $host;
  proxy_connect_timeout %[1]s;
  proxy_read_timeout %[2]s;
  proxy_send_timeout %[3]s;
  client_header_timeout %[4]s;
  client_body_timeout %[3]s;
  send_timeout %[3]s;
  reset_timedout_connection on;
  proxy_buffering on;
  proxy_ssl_verify on;
  proxy_ssl_trusted_certificate %[5]s;
`, seconds(l.Connect), seconds(l.Idle), seconds(l.Idle), seconds(l.TLS), o.Authority)
	for _, port := range Ports() {
		fmt.Fprintf(&b, "  upstream %s { server %s; keepalive 32; }\n", port, o.Origin.Address(port))
	}
	fmt.Fprintf(&b, "  server {\n    listen %s ssl http2;\n    ssl_certificate %s;\n    ssl_certificate_key %s;\n", o.Listen, o.Cert, o.Key)
	for _, port := range Ports() {
		scheme, extra := "http", ""
		if isTLS(port) {
			host, _, _ := strings.Cut(o.Origin.Address(port), ":")
			scheme, extra = "https", fmt.Sprintf(" proxy_ssl_name %s;", host)
		}
		fmt.Fprintf(&b, "    location %s/%s/ { proxy_pass %s://%s;%s }\n", Prefix, port, scheme, port, extra)
	}
	return b.String() + "  }\n}\n"
}

func haproxyConfig(o ConfigOptions) string {
	l := o.Limits
	var b strings.Builder
	fmt.Fprintf(&b, `global
  maxconn 4096
defaults
  mode http
  timeout connect %[1]dms
  timeout server %[2]dms
  timeout client %[2]dms
  timeout http-request %[3]dms
  timeout http-keep-alive %[2]dms
  timeout client-fin %[4]dms
  timeout server-fin %[4]dms
  timeout tunnel 1h
  option abortonclose
  retries 1
  retry-on conn-failure empty-response
frontend front
  bind %[5]s ssl crt %[6]s alpn h2,http/1.1
`, l.Connect.Milliseconds(), l.Idle.Milliseconds(), l.TLS.Milliseconds(), l.Close.Milliseconds(), o.Listen, o.Cert)
	for _, port := range Ports() {
		fmt.Fprintf(&b, "  use_backend %[2]s if { path_beg %[1]s/%[2]s/ }\n", Prefix, port)
	}
	for _, port := range Ports() {
		extra := ""
		if isTLS(port) {
			host, _, _ := strings.Cut(o.Origin.Address(port), ":")
			extra = fmt.Sprintf(" ssl verify required ca-file %s verifyhost %s", o.Authority, host)
			if port == portH2 {
				extra += " alpn h2,http/1.1"
			}
		}
		fmt.Fprintf(&b, "backend %s\n  server s %s%s\n", port, o.Origin.Address(port), extra)
	}
	return b.String()
}
