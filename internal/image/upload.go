package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/image/v2/imagedata"
	"github.com/gophercloud/gophercloud/v2/openstack/image/v2/images"
)

// digestProperty says which file an image in Glance is. An upload that is repeated finds what the one before it has
// done.
const digestProperty = "jeroboam_digest"

// UploadOptions are where an image goes.
type UploadOptions struct {
	Glance *gophercloud.ServiceClient
	File   string
	Name   string
	Public bool
	// Progress is told how many bytes of how many Glance has been given.
	Progress func(sent, total int64)
}

// Upload brings an image and its properties to Glance and returns its id. An image of the same name and contents is not
// brought again; what a killed upload has left is removed.
func Upload(ctx context.Context, o UploadOptions) (id string, there bool, err error) {
	p, err := ReadProperties(o.File)
	if err != nil {
		return "", false, err
	}
	if p.Format == RootFS {
		return "", false, errors.New("a tar of a root file system is nothing that Glance can boot: build a raw or qcow2 image")
	}
	id, err = o.find(ctx, p)
	if err != nil || id != "" {
		return id, true, err
	}
	visibility := images.ImageVisibilityPrivate
	if o.Public {
		visibility = images.ImageVisibilityPublic
	}
	properties := p.Glance()
	properties[digestProperty] = p.Digest
	made, err := images.Create(ctx, o.Glance, images.CreateOpts{
		Name: o.Name, Visibility: &visibility, ContainerFormat: "bare", DiskFormat: p.Format, Properties: properties,
		MinDisk: int((p.DiskSize + 1<<30 - 1) >> 30),
	}).Extract()
	if err != nil {
		if gophercloud.ResponseCodeIs(err, 403) && o.Public {
			return "", false, fmt.Errorf("this user may not make public images: leave --public out, or ask an administrator: %w", err)
		}
		return "", false, fmt.Errorf("make the image %s: %w", o.Name, err)
	}
	if err := o.send(ctx, made.ID, p.Size); err != nil {
		// An image without contents is of no use to anybody; the user may have stopped waiting.
		clear, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
		defer cancel()
		return "", false, errors.Join(fmt.Errorf("upload %s: %w", o.File, err), images.Delete(clear, o.Glance, made.ID).ExtractErr())
	}
	return made.ID, false, nil
}

// find looks for an image that is this one, and removes those that were begun and never became whole.
func (o UploadOptions) find(ctx context.Context, p Properties) (string, error) {
	pages, err := images.List(o.Glance, images.ListOpts{Name: o.Name}).AllPages(ctx)
	if err != nil {
		return "", fmt.Errorf("list images: %w", err)
	}
	list, err := images.ExtractImages(pages)
	if err != nil {
		return "", fmt.Errorf("list images: %w", err)
	}
	for _, i := range list {
		if digest, ok := i.Properties[digestProperty].(string); !ok || digest != p.Digest {
			continue
		}
		switch i.Status {
		case images.ImageStatusActive:
			return i.ID, nil
		case images.ImageStatusQueued, images.ImageStatusSaving, images.ImageStatusKilled:
			if err := images.Delete(ctx, o.Glance, i.ID).ExtractErr(); err != nil {
				return "", fmt.Errorf("remove the image %s, whose upload was cut off: %w", i.ID, err)
			}
		default: // somebody deactivated or removed it, which is theirs to say
		}
	}
	return "", nil
}

func (o UploadOptions) send(ctx context.Context, id string, size int64) error {
	in, err := os.Open(o.File)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }() // only read
	return imagedata.Upload(ctx, o.Glance, id, &counted{Reader: in, size: size, tell: o.Progress}).ExtractErr()
}

// counted tells how far a reader was read. It hides the file's own methods, so that nobody closes or seeks it.
type counted struct {
	io.Reader

	size, sent int64
	tell       func(sent, total int64)
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.sent += int64(n)
	if c.tell != nil {
		c.tell(c.sent, c.size)
	}
	return n, err
}
