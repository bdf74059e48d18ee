package main

import (
	"context"

	"github.com/runstore/runstore/clients/go"
)

func (r *runner) registerVersion(ctx context.Context, a *arguments) (any, error) {
	return r.client.Configs().Register(ctx, a.Kind, a.Name, a.Body.Payload, runstore.RegisterOptions{
		Description: a.Description, Metadata: a.Metadata.Payload, Labels: a.Labels.names,
		Actor: a.Actor,
	})
}

func (r *runner) getVersion(ctx context.Context, a *arguments) (any, error) {
	which := runstore.LatestVersion()
	switch {
	case a.Version != 0:
		which = runstore.VersionByNumber(int64(a.Version))
	case a.Digest != "":
		which = runstore.VersionByDigest(a.Digest)
	case a.Label != "":
		which = runstore.VersionByLabel(a.Label)
	}
	return r.client.Configs().Get(ctx, a.Kind, a.Name, which)
}

func (r *runner) listVersions(ctx context.Context, a *arguments) (any, error) {
	return listed("versions", r.client.Configs().Versions(ctx, a.Kind, a.Name))
}

func (r *runner) listConfigs(ctx context.Context, a *arguments) (any, error) {
	return listed("configs", r.client.Configs().List(ctx, runstore.ListConfigsOptions{
		Kind: a.Kind, NamePrefix: a.NamePrefix,
	}))
}

func (a *arguments) labelOptions() runstore.LabelOptions {
	return runstore.LabelOptions{ExpectedVersion: a.ExpectedVersion, Actor: a.Actor}
}

func (r *runner) setLabel(ctx context.Context, a *arguments) (any, error) {
	return r.client.Configs().SetLabel(
		ctx, a.Kind, a.Name, a.Label, int64(a.Version), a.labelOptions(),
	)
}

func (r *runner) removeLabel(ctx context.Context, a *arguments) (any, error) {
	return r.client.Configs().RemoveLabel(ctx, a.Kind, a.Name, a.Label, a.labelOptions())
}

func (r *runner) listLabelMoves(ctx context.Context, a *arguments) (any, error) {
	return listed("moves", r.client.Configs().LabelMoves(ctx, a.Kind, a.Name, a.Label))
}
