// Command referrers-registry is a registry with the referrers API of OCI 1.1, in memory: go-containerregistry's, which
// its own command line serves without that API. It checks no tokens; the stand-in in front of it does.
//
//	referrers-registry            prints where it listens: "listening on 127.0.0.1:PORT"
package main

import (
	"bytes"
	"encoding/json"
	"io"
	"log"
	"net"
	"net/http"
	"strings"

	"github.com/google/go-containerregistry/pkg/registry"
)

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	log.Printf("listening on %s", listener.Addr())
	quiet := log.New(io.Discard, "", 0)
	log.Fatal(http.Serve(listener, tellSubject(registry.New(registry.WithReferrersSupport(true), registry.Logger(quiet)))))
}

// tellSubject adds what the specification requires and the library leaves out: a registry that has stored a manifest with
// a subject answers with OCI-Subject.
func tellSubject(next http.Handler) http.Handler {
	return http.HandlerFunc(func(response http.ResponseWriter, request *http.Request) {
		if request.Method == http.MethodPut && strings.Contains(request.URL.Path, "/manifests/") {
			body, err := io.ReadAll(request.Body)
			if err != nil {
				http.Error(response, err.Error(), http.StatusBadRequest)
				return
			}
			request.Body = io.NopCloser(bytes.NewReader(body))
			var manifest struct {
				Subject struct {
					Digest string `json:"digest"`
				} `json:"subject"`
			}
			if json.Unmarshal(body, &manifest) == nil && manifest.Subject.Digest != "" {
				response.Header().Set("OCI-Subject", manifest.Subject.Digest)
			}
		}
		next.ServeHTTP(response, request)
	})
}
