package kvtest_test

import (
	"testing"

	"github.com/honeyant/honeyant/kv"
	"github.com/honeyant/honeyant/kv/kvtest"
)

func TestMem(t *testing.T) {
	kvtest.Suite(t, func(t *testing.T, dir string) kv.DB {
		db, err := kvtest.OpenMem(dir)
		if err != nil {
			t.Fatal(err)
		}
		return db
	})
}
