// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"golang.org/x/sync/errgroup"
)

// blobsAtOnce is how many blobs of an image are sent side by side.
const blobsAtOnce = 3

// push sends an image's blobs, its manifest by digest, and then its tags, one after the other. The bytes are those of
// the layout. Blobs that the registry has already are not sent again.
func (c *client) push(ctx context.Context, meter *meter, image Image, place Place, outcome *Outcome) error {
	repository, err := c.repository(place.Repository)
	if err != nil {
		return c.wrap(place.Repository, err)
	}
	source, err := read(image)
	if err != nil {
		return fmt.Errorf("image %s: %w", image.Name, err)
	}
	options := []remote.Option{
		remote.WithTransport(c.metered(meter)), remote.WithAuth(c.auth), remote.WithContext(ctx),
		remote.WithRetryBackoff(c.backoff), remote.WithRetryPredicate(temporary), remote.WithRetryStatusCodes(passing...),
	}
	pusher, err := remote.NewPusher(options...)
	if err != nil {
		return c.wrap(place.Repository, err)
	}
	if err := c.upload(ctx, pusher, repository, source); err != nil {
		return c.wrap(place.Repository, err)
	}
	if err := pusher.Put(ctx, repository.Digest(image.Digest), source); err != nil {
		return c.wrap(place.Repository, err)
	}
	for _, tag := range place.Tags {
		if err := pusher.Put(ctx, repository.Tag(tag), source); err != nil {
			return c.wrap(place.Repository, err)
		}
		found, err := remote.Head(repository.Tag(tag), options...)
		if err != nil {
			return c.wrap(place.Repository, err)
		}
		if found.Digest.String() != image.Digest {
			return c.wrap(place.Repository, fmt.Errorf("tag %s names %s there, not %s", tag, found.Digest, image.Digest))
		}
		outcome.Tags = append(outcome.Tags, tag)
	}
	return nil
}

// read finds an image in an OCI layout by its digest.
func read(image Image) (v1.Image, error) {
	digest, err := v1.NewHash(image.Digest)
	if err != nil {
		return nil, err
	}
	folder, err := layout.FromPath(image.Layout)
	if err != nil {
		return nil, err
	}
	return folder.Image(digest)
}

func (c *client) upload(ctx context.Context, pusher *remote.Pusher, repository name.Repository, source v1.Image) error {
	blobs, err := source.Layers()
	if err != nil {
		return err
	}
	config, err := partial.ConfigLayer(source)
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(blobsAtOnce)
	for _, blob := range append(blobs, config) {
		group.Go(func() error { return c.uploadBlob(ctx, pusher, repository, blob) })
	}
	return group.Wait()
}

// uploadBlob sends a blob, or has the registry take it from another repository that it was sent to before: services share
// their lowest layers.
func (c *client) uploadBlob(ctx context.Context, pusher *remote.Pusher, repository name.Repository, blob v1.Layer) error {
	digest, err := blob.Digest()
	if err != nil {
		return err
	}
	if sent, there := c.sent.Load(digest); there {
		blob = &remote.MountableLayer{Layer: blob, Reference: sent.(name.Repository).Digest(digest.String())}
	}
	if err := pusher.Upload(ctx, repository, blob); err != nil {
		return err
	}
	c.sent.LoadOrStore(digest, repository)
	return nil
}
