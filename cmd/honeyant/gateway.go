package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/honeyant/honeyant/cmd/command"
)

// gatewayProgram is a program of its own, so that a fault of the proxy never touches storage and machines that only store do not carry it.
const gatewayProgram = "honeyant-gateway"

func newGateway(o *options) *cobra.Command {
	return &cobra.Command{
		Use: "gateway ...", Short: "the HTTPS gateway: run, reload, upgrade, stop, ps, why, kill, selftest, help", DisableFlagParsing: true,
		Long:    "Runs " + gatewayProgram + ", which lies in the same directory as this program.",
		Example: "  honeyant gateway run --site example.org --root /www\n  honeyant gateway ps",
		RunE: func(_ *cobra.Command, args []string) error {
			self, err := os.Executable()
			if err != nil {
				return err
			}
			path := filepath.Join(filepath.Dir(self), gatewayProgram)
			if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
				return command.Usagef("%s is not there; `make build` makes it beside %s", path, filepath.Base(self))
			}
			if o.json { // said before the word gateway
				args = append([]string{"--json"}, args...)
			}
			environ := append(os.Environ(), "HONEYANT_GATEWAY_AS=honeyant gateway")
			return fmt.Errorf("running %s: %w", path, syscall.Exec(path, append([]string{path}, args...), environ))
		},
	}
}
