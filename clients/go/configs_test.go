package runstore_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/runstore/runstore/clients/go"
)

// registered is the version of a JSON body.
func registered(
	t *testing.T, client *runstore.Client, kind, name, body string, labels ...string,
) *runstore.RegisteredVersion {
	t.Helper()
	version, err := client.Configs().Register(
		t.Context(), kind, name, runstore.JSON(body), runstore.RegisterOptions{Labels: labels},
	)
	require(t, err)
	return version
}

func TestAVersionComesBackByteForByte(t *testing.T) {
	client := dial(t)
	for number, body := range []runstore.Payload{
		runstore.JSON(`{"b": 1.0, "a": 1e2,  "b": 2}`),
		runstore.Binary([]byte{0, 255}, "application/x-thing"),
	} {
		given, err := client.Configs().Register(t.Context(), "prompt", "p", body, runstore.RegisterOptions{
			Description: "what it is", Metadata: runstore.JSON(`{"k": 1.0}`), Actor: "ann",
			Labels: []string{"production", "live"},
		})
		require(t, err)

		version, err := client.Configs().Get(t.Context(), "prompt", "p", runstore.LatestVersion())

		require(t, err)
		digest, err := runstore.ConfigDigest(body)
		require(t, err)
		equal(t, "digest", given.Digest, digest)
		equal(t, "body", version.Body, body)
		equal(t, "size", version.BodyBytes, int64(len(body.Bytes())))
		equal(t, "metadata", version.Metadata, runstore.JSON(`{"k": 1.0}`))
		equal(t, "rest", fmt.Sprint(
			version.Kind, version.Name, version.Version, version.Digest == digest, version.Description,
			version.Labels, version.Actor, version.CreatedAt.Equal(given.CreatedAt),
		), fmt.Sprint("prompt", "p", number+1, true, "what it is", "[live production]", "ann", true))
	}
}

func TestTheSameBodyIsTheVersionItWas(t *testing.T) {
	client := dial(t)
	first := registered(t, client, "prompt", "p", `1`, "production")
	registered(t, client, "prompt", "p", `2`, "production")

	again := registered(t, client, "prompt", "p", `1`, "production")

	equal(t, "version", again.Version, 1)
	equal(t, "deduplicated", again.Deduplicated, true)
	equal(t, "first", first.Deduplicated, false)
	version, err := client.Configs().Get(t.Context(), "prompt", "p", runstore.VersionByLabel("production"))
	require(t, err)
	equal(t, "labelled", version.Version, 1)
}

func TestAVersionIsChosen(t *testing.T) {
	client := dial(t)
	first := registered(t, client, "prompt", "p", `1`, "old")
	registered(t, client, "prompt", "p", `2`)
	for name, each := range map[string]struct {
		which runstore.VersionSelector
		want  int64
	}{
		"zero":   {runstore.VersionSelector{}, 2},
		"latest": {runstore.LatestVersion(), 2},
		"number": {runstore.VersionByNumber(1), 1},
		"digest": {runstore.VersionByDigest(first.Digest), 1},
		"label":  {runstore.VersionByLabel("old"), 1},
	} {
		t.Run(name, func(t *testing.T) {
			version, err := client.Configs().Get(t.Context(), "prompt", "p", each.which)

			require(t, err)
			equal(t, "version", version.Version, each.want)
		})
	}
}

func TestWhatIsNotThereHasAnErrorOfItsOwn(t *testing.T) {
	client := dial(t)
	registered(t, client, "prompt", "p", `1`)
	configs := client.Configs()

	_, noConfig := configs.Get(t.Context(), "prompt", "other", runstore.LatestVersion())
	_, noVersion := configs.Get(t.Context(), "prompt", "p", runstore.VersionByNumber(2))
	_, noLabel := configs.Get(t.Context(), "prompt", "p", runstore.VersionByLabel("none"))
	_, noBody := configs.Register(t.Context(), "prompt", "p", runstore.Payload{}, runstore.RegisterOptions{})

	var config *runstore.ConfigNotFoundError
	var version *runstore.ConfigVersionNotFoundError
	var label *runstore.ConfigLabelNotFoundError
	var invalid *runstore.InvalidRequestError
	if !errors.As(noConfig, &config) || !errors.As(noVersion, &version) ||
		!errors.As(noLabel, &label) || !errors.As(noBody, &invalid) {
		t.Fatalf("got %v, %v, %v, %v", noConfig, noVersion, noLabel, noBody)
	}
}

func TestListingsOfConfigsGoOverPages(t *testing.T) {
	client := dial(t)
	for number := range 103 { // a page is 100
		registered(t, client, "prompt", "p", fmt.Sprint(number), "newest")
	}
	registered(t, client, "prompt", "q", `1`)
	registered(t, client, "tool", "p", `1`)
	configs := client.Configs()

	versions := collect(t, configs.Versions(t.Context(), "prompt", "p"))
	moves := collect(t, configs.LabelMoves(t.Context(), "prompt", "p", "newest"))
	all := collect(t, configs.List(t.Context(), runstore.ListConfigsOptions{PageSize: 1}))
	prompts := collect(t, configs.List(t.Context(), runstore.ListConfigsOptions{Kind: "prompt", NamePrefix: "q"}))

	equal(t, "versions", len(versions), 103)
	equal(t, "newest", versions[0].Version, 103)
	equal(t, "no body", versions[0].Body.IsZero(), true)
	equal(t, "moves", len(moves), 103)
	equal(t, "last move", moves[0].FromVersion, 102)
	equal(t, "configs", len(all), 3)
	equal(t, "first", all[0].Kind+"/"+all[0].Name, "prompt/p")
	equal(t, "latest", all[0].Latest.Version, 103)
	equal(t, "label", all[0].Labels[0].Version, 103)
	equal(t, "prompts", len(prompts), 1)
	_, err := next(configs.Versions(t.Context(), "prompt", "none"))
	var missing *runstore.ConfigNotFoundError
	if !errors.As(err, &missing) {
		t.Fatalf("got %v", err)
	}
}

func TestALabelIsMovedFromWhereItIsExpected(t *testing.T) {
	client := dial(t)
	registered(t, client, "prompt", "p", `1`)
	registered(t, client, "prompt", "p", `2`)
	configs := client.Configs()

	set, err := configs.SetLabel(t.Context(), "prompt", "p", "production", 1, runstore.LabelOptions{
		ExpectedVersion: new(int64), Actor: "ann",
	})
	require(t, err)
	_, lost := configs.SetLabel(t.Context(), "prompt", "p", "production", 2, runstore.LabelOptions{
		ExpectedVersion: new(int64),
	})
	moved, err := configs.SetLabel(t.Context(), "prompt", "p", "production", 2, runstore.LabelOptions{
		ExpectedVersion: new(int64(1)),
	})
	require(t, err)
	removed, err := configs.RemoveLabel(t.Context(), "prompt", "p", "production", runstore.LabelOptions{
		ExpectedVersion: new(int64(2)),
	})
	require(t, err)
	nothing, err := configs.RemoveLabel(t.Context(), "prompt", "p", "production", runstore.LabelOptions{})
	require(t, err)

	var conflict *runstore.LabelConflictError
	if !errors.As(lost, &conflict) || conflict.CurrentVersion() != 1 {
		t.Fatalf("got %v", lost)
	}
	equal(t, "actor", set.Actor, "ann")
	equal(t, "time", set.MovedAt.IsZero(), false)
	for move, want := range map[*runstore.LabelMove]string{
		set: "0 1", moved: "1 2", removed: "2 0", nothing: "0 0",
	} {
		equal(t, "move", fmt.Sprint(move.FromVersion, move.ToVersion), want)
	}
	equal(t, "no time", nothing.MovedAt.IsZero(), true)
}

func TestAMoveMadeAgainMovesNothingBack(t *testing.T) {
	client := dial(t)
	registered(t, client, "prompt", "p", `1`)
	registered(t, client, "prompt", "p", `2`)
	configs := client.Configs()
	mine := runstore.LabelOptions{RequestID: "mine"}
	_, err := configs.SetLabel(t.Context(), "prompt", "p", "production", 1, mine)
	require(t, err)
	_, err = configs.SetLabel(t.Context(), "prompt", "p", "production", 2, runstore.LabelOptions{})
	require(t, err)

	again, err := configs.SetLabel(t.Context(), "prompt", "p", "production", 1, mine)

	require(t, err)
	equal(t, "answer", again.ToVersion, 1)
	version, err := configs.Get(t.Context(), "prompt", "p", runstore.VersionByLabel("production"))
	require(t, err)
	equal(t, "stays", version.Version, 2)
}

func TestARunIsPinnedToWhatALabelPointsTo(t *testing.T) {
	client := dial(t)
	first := registered(t, client, "prompt", "p", `1`, "production")

	run, err := client.SaveRun(t.Context(), runstore.NewRun{
		ConfigRefs: []runstore.ConfigRef{{Kind: "prompt", Name: "p", Label: "production"}},
	})
	require(t, err)
	registered(t, client, "prompt", "p", `2`, "production")

	info, err := run.Get(t.Context())
	require(t, err)
	equal(t, "pin", info.ConfigRefs[0], runstore.ConfigRef{
		Kind: "prompt", Name: "p", Version: 1, Digest: first.Digest,
	})
}

func TestADigestIsOfABody(t *testing.T) {
	for name, payload := range map[string]runstore.Payload{
		"none": {}, "a reference": runstore.Ref([32]byte{}), "one that failed": runstore.JSON("\xff"),
	} {
		if digest, err := runstore.ConfigDigest(payload); err == nil {
			t.Errorf("%s: got %s", name, digest)
		}
	}
}
