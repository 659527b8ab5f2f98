// Reads a dashboard from standard input into the model that Grafana publishes of its dashboards, panels and queries, and
// prints what is unknown there, missing, of another type, or outside what is allowed. Exit code 1 where it found anything.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/cog/plugins"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
)

func main() {
	// Without them, the options of panels and what they ask Prometheus are any JSON.
	plugins.RegisterDefaultPlugins()
	raw, err := io.ReadAll(os.Stdin)
	if err == nil {
		err = judge(raw)
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

func judge(raw []byte) error {
	var read dashboard.Dashboard
	if err := read.UnmarshalJSONStrict(raw); err != nil && !isEmpty(err) {
		return err
	}
	return read.Validate()
}

// A list of findings without any is no error, though not nil.
func isEmpty(err error) bool {
	var found cog.BuildErrors
	return errors.As(err, &found) && len(found) == 0
}
