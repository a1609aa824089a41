package remote_test

import (
	"errors"
	"testing"
	"testing/synctest"

	"github.com/honeyant/honeyant"
	"github.com/honeyant/honeyant/meta"
	"github.com/honeyant/honeyant/meta/remote"
)

// Rule 33: the authority's key never leaves the leader, whichever member asks.
func TestSecretSettingsStay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := founded(t)
		must(t, c.leaders[0].Direct(), &meta.PutSetting{Name: meta.SettingSecret + "x", Value: []byte("key")})
		admin := remote.NewAdmin(c.options())
		for _, op := range []meta.Op{
			&meta.GetSetting{Name: meta.SettingSecret + "x"},
			&meta.PutSetting{Name: meta.SettingSecret + "x", Value: []byte("mine")},
		} {
			if _, err := admin.Do(t.Context(), op); !errors.Is(err, honeyant.NotPermitted) {
				t.Errorf("%T: %v", op, err)
			}
		}
		must(t, admin, &meta.PutSetting{Name: "plain", Value: []byte("v")})
		if got := must(t, admin, &meta.GetSetting{Name: "plain"}); string(got.Value) != "v" {
			t.Errorf("plain setting %q", got.Value)
		}
		c.stop(0)
		c.r.Stop()
	})
}
