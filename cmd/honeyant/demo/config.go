package demo

import (
	"time"

	"github.com/honeyant/honeyant/config"
)

// quickOut makes a silent node count as gone after seconds instead of minutes, so that the
// demo can show the heal.
func quickOut(dir string) error {
	c, err := config.Load(dir)
	if err != nil {
		return err
	}
	c.OutAfter = 12 * time.Second
	return config.Write(dir, c)
}
