package api

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"reflect"

	"github.com/jeroboam-cloud/jeroboam/internal/label"
	"github.com/jeroboam-cloud/jeroboam/internal/magnum"
	"github.com/jeroboam-cloud/jeroboam/internal/policy"
)

func (s *server) listTemplates(ctx context.Context, c *call) (answer, error) {
	return s.templateList(ctx, c, "clustertemplate:get_all", "clustertemplates")
}

func (s *server) listTemplatesDetail(ctx context.Context, c *call) (answer, error) {
	return s.templateList(ctx, c, "clustertemplate:detail", "clustertemplates/detail")
}

// templateList shows full objects either way (Magnum 1.14).
func (s *server) templateList(ctx context.Context, c *call, rule, address string) (answer, error) {
	if _, err := s.Policy.Authorize(c.caller, rule, c.self()); err != nil {
		return answer{}, err
	}
	p, err := s.page(c)
	if err != nil {
		return answer{}, err
	}
	if err := p.uuidMarker(); err != nil {
		return answer{}, err
	}
	all, err := s.Templates.Templates(ctx, s.Policy.Scope(c.caller, rule+"_all_projects"))
	if err != nil {
		return answer{}, err
	}
	list, err := paginate(c, all, p, templateOrder(p.sortKey), func(t *magnum.ClusterTemplate) string { return t.UUID }, "ClusterTemplate", address)
	if err != nil {
		return answer{}, err
	}
	return writeList(c, "clustertemplates", list, func(o *object, t *magnum.ClusterTemplate) { o.template(c, t) }), nil
}

// findTemplate is findCluster for templates. A public template may be read by anybody.
func (s *server) findTemplate(ctx context.Context, c *call, rule, everywhere string) (*magnum.ClusterTemplate, policy.Grant, error) {
	t, err := s.Templates.Template(ctx, s.Policy.Scope(c.caller, everywhere), c.r.PathValue("template"))
	if err != nil {
		return nil, policy.Grant{}, err
	}
	target := policy.Target{ProjectID: t.ProjectID, UserID: t.UserID}
	if rule == "clustertemplate:get" && t.Public {
		target = c.self()
	}
	g, err := s.Policy.Authorize(c.caller, rule, target)
	return t, g, err
}

func (s *server) getTemplate(ctx context.Context, c *call) (answer, error) {
	t, _, err := s.findTemplate(ctx, c, "clustertemplate:get", "clustertemplate:get_one_all_projects")
	if err != nil {
		return answer{}, err
	}
	return c.template(http.StatusOK, t), nil
}

func (c *call) template(status int, t *magnum.ClusterTemplate) answer {
	o := c.object()
	o.open()
	o.template(c, t)
	o.close()
	return c.ok(status, o)
}

// createTemplate checks in Magnum's order (A7): what the template says, its image and driver, policy, its other
// resources, and last whether the caller may publish.
func (s *server) createTemplate(ctx context.Context, c *call) (answer, error) {
	f, err := s.fields(c, "cluster_template")
	if err != nil {
		return answer{}, err
	}
	f.readOnly("project_id", "user_id", "links", "created_at", "updated_at")
	f.ignore("uuid")
	t := f.template()
	if err := f.done(); err != nil {
		return answer{}, err
	}
	if t.Name == "" {
		t.Name = magnum.RandomName(s.rand, "template")
	}
	t.NetworkDriver = textOr(t.NetworkDriver, s.Config.DefaultNetworkDriver)
	wrong := s.checkLabels(label.Template, t.Labels)
	problem := allAtOnce(s.checkTemplate(&t), wrong, s.checkEffect(nil, &t))
	var unfit error
	if problem == nil {
		unfit = s.readImage(ctx, c, &t)
	}
	g, err := s.Policy.Authorize(c.caller, "clustertemplate:create", c.self())
	if err != nil {
		return answer{}, allAtOnce(problem, unfit, err)
	}
	want := s.templateResources(&t, wrong != nil)
	if unfit != nil {
		want.image = "" // it is told already
	}
	_, err = s.resolve(ctx, c, want)
	if err := allAtOnce(problem, unfit, err); err != nil {
		return answer{}, err
	}
	if t.Public || t.Hidden {
		if err := s.mayPublish(c); err != nil {
			return answer{}, err
		}
	}
	t.ProjectID, t.UserID = c.caller.ProjectID, c.caller.UserID
	stored, err := s.Templates.CreateTemplate(ctx, g, t)
	if err != nil {
		return answer{}, err
	}
	a := c.template(http.StatusCreated, stored)
	a.location = c.base + "/v1/clustertemplates/" + stored.UUID
	return a, nil
}

// readImage takes the distribution and, if nobody named it, the driver from the template's image.
func (s *server) readImage(ctx context.Context, c *call, t *magnum.ClusterTemplate) error {
	image, err := s.CloudFor(c.token, c.identity).Image(ctx, t.ImageID)
	if err != nil {
		return missing(err, "image", t.ImageID, http.StatusBadRequest)
	}
	if err := checkDistro(image, t.ImageID); err != nil {
		return err
	}
	t.ClusterDistro = image.OSDistro
	if t.Driver, err = s.chooseDriver(t.Driver, image, t.ServerType, t.COE); err != nil {
		return err
	}
	return checkImageTag(image, t.ImageID, t.Labels[label.KubeTag])
}

// templateResources are what a template names besides its key pair, which Magnum does not check before a cluster uses
// it. readImage has looked at the image; flavors are held against it here.
func (s *server) templateResources(t *magnum.ClusterTemplate, doubtful bool) resources {
	labels := t.Labels
	if doubtful {
		labels = label.Sound(labels)
	}
	return resources{
		needsDisk: !s.bootsFromVolume(labels), networkDriver: t.NetworkDriver, labels: labels, scope: label.Template, doubtful: doubtful,
		flavor: t.FlavorID, masterFlavor: t.MasterFlavorID, image: t.ImageID,
		externalNetwork: t.ExternalNetworkID, fixedNetwork: t.FixedNetwork, fixedSubnet: t.FixedSubnet,
	}
}

func (s *server) mayPublish(c *call) error {
	if _, err := s.Policy.Authorize(c.caller, "clustertemplate:publish", c.self()); err != nil {
		return fmt.Errorf("%w: %w", magnum.Forbidden("Not authorized to set public or hidden flag for cluster template."), err)
	}
	return nil
}

// patchTemplate finds only the caller's own and public templates: Magnum's administrators get 404 for others here
// (A10).
func (s *server) patchTemplate(ctx context.Context, c *call) (answer, error) {
	p, err := s.patch(c, templatePatchRules())
	if err != nil {
		return answer{}, err
	}
	t, g, err := s.findTemplate(ctx, c, "clustertemplate:update", "")
	if err != nil {
		return answer{}, err
	}
	if len(p) == 0 {
		return c.template(http.StatusOK, t), nil
	}
	wanted, err := s.patched(ctx, c, t, p)
	if err != nil {
		return answer{}, err
	}
	before, seen := t.UpdatedAt, templateDocument(t)
	t, err = s.Templates.UpdateTemplate(ctx, g, t.UUID, func(now *magnum.ClusterTemplate, referenced bool) error {
		if referenced && !harmless(now, &wanted) {
			return magnum.Invalid("ClusterTemplate %s is referenced by one or multiple clusters.", now.UUID)
		}
		if !templateDocument(now).equal(seen) {
			return magnum.Conflict("ClusterTemplate %s was changed by another request at the same time. Try again.", now.UUID)
		}
		keep := *now
		*now = wanted
		now.ID, now.UUID, now.ProjectID, now.UserID = keep.ID, keep.UUID, keep.ProjectID, keep.UserID
		now.CreatedAt, now.UpdatedAt = keep.CreatedAt, keep.UpdatedAt
		return nil
	})
	if err != nil {
		return answer{}, err
	}
	shown := *t
	shown.UpdatedAt = before // Magnum 1.14 does not read the record again
	return c.template(http.StatusOK, &shown), nil
}

// patched applies a patch and checks the outcome like a new template; the cloud is asked about what the patch changed.
func (s *server) patched(ctx context.Context, c *call, t *magnum.ClusterTemplate, p patch) (magnum.ClusterTemplate, error) {
	doc := templateDocument(t)
	if err := p.apply(doc); err != nil {
		return magnum.ClusterTemplate{}, err
	}
	f := doc.fields("cluster_template", s.Config.MaxLabels)
	wanted := f.template()
	if err := f.done(); err != nil {
		return wanted, err
	}
	if wanted.Name == "" {
		wanted.Name = t.Name
	}
	wanted.NetworkDriver = textOr(wanted.NetworkDriver, s.Config.DefaultNetworkDriver)
	var wrong error
	if !maps.Equal(wanted.Labels, t.Labels) {
		wrong = s.checkLabels(label.Template, wanted.Labels)
	}
	problem := allAtOnce(s.checkTemplate(&wanted), s.checkEffect(t, &wanted), wrong)
	var unfit error
	if problem == nil && (wanted.ImageID != t.ImageID || wanted.Driver != t.Driver || wanted.ServerType != t.ServerType ||
		wanted.Labels[label.KubeTag] != t.Labels[label.KubeTag]) {
		unfit = s.readImage(ctx, c, &wanted)
	}
	was, is := s.templateResources(t, wrong != nil), s.templateResources(&wanted, wrong != nil)
	if !reflect.DeepEqual(was, is) {
		if unfit != nil {
			is.image = "" // it is told already
		}
		_, err := s.resolve(ctx, c, is)
		problem = allAtOnce(problem, unfit, err)
	} else {
		problem = allAtOnce(problem, unfit)
	}
	if problem != nil {
		return wanted, problem
	}
	if wanted.Public != t.Public || wanted.Hidden != t.Hidden {
		return wanted, s.mayPublish(c)
	}
	return wanted, nil
}

// harmless tells whether a template that clusters use may become wanted: only its name, its visibility or its tags
// alone may change (Magnum 1.14).
func harmless(now, wanted *magnum.ClusterTemplate) bool {
	changed := templateDocument(now).changed(templateDocument(wanted))
	if len(changed) != 1 {
		return len(changed) == 0
	}
	switch changed[0] {
	case "name", "hidden", "tags":
		return true
	case "public":
		return wanted.Public
	}
	return false
}

func (s *server) deleteTemplate(ctx context.Context, c *call) (answer, error) {
	t, g, err := s.findTemplate(ctx, c, "clustertemplate:delete", "clustertemplate:delete_all_projects")
	if err != nil {
		return answer{}, err
	}
	if err := s.Templates.DeleteTemplate(ctx, g, t.UUID); err != nil {
		return answer{}, err
	}
	return answer{status: http.StatusNoContent}, nil
}
