package simcloud

import (
	"net/http"
	"time"
)

func (c *Cloud) glanceVersions(q *call) (reply, error) {
	return reply{status: http.StatusMultipleChoices, body: obj{"versions": []obj{{
		"id": "v2.15", "status": "CURRENT", "links": []obj{{"rel": "self", "href": q.base + "/image/v2/"}},
	}}}}, nil
}

func (i image) document() obj {
	at := i.CreatedAt.Format(time.RFC3339)
	d := obj{
		"id": i.ID, "name": i.Name, "status": "active", "visibility": i.Visibility, "owner": i.Owner, "size": i.Size, "virtual_size": nil,
		"min_disk": i.MinDisk, "min_ram": i.MinRAM, "disk_format": "qcow2", "container_format": "bare", "protected": false,
		"os_hidden": false, "checksum": "d41d8cd98f00b204e9800998ecf8427e", "tags": []string{}, "created_at": at, "updated_at": at,
		"self": "/v2/images/" + i.ID, "file": "/v2/images/" + i.ID + "/file", "schema": "/v2/schemas/image",
	}
	for key, value := range i.Properties {
		d[key] = value
	}
	return d
}

// visibleTo: private images belong to their project.
func (i image) visibleTo(who *caller) bool {
	return i.Visibility == "public" || i.Visibility == "community" || who.sees(i.Owner)
}

func (c *Cloud) listImages(q *call) (reply, error) {
	var list []obj
	for _, i := range c.images {
		if i.visibleTo(q.who) {
			list = append(list, i.document())
		}
	}
	query := q.URL.Query()
	query.Del("visibility") // Glance also knows "all", openstacksdk sends it.
	if v := q.URL.Query().Get("visibility"); v != "" && v != "all" {
		query.Set("visibility", v)
	}
	part, next, err := page(q, filtered(list, query), "id")
	if err != nil {
		return reply{}, err
	}
	body := obj{"images": part, "first": "/v2/images", "schema": "/v2/schemas/images"}
	if next != "" {
		body["next"] = next[len("/image"):] // Glance's links do not know the prefix it is mounted under.
	}
	return ok(body)
}

func (c *Cloud) showImage(q *call) (reply, error) {
	for _, i := range c.images {
		if i.ID == q.PathValue("id") && i.visibleTo(q.who) {
			return ok(i.document())
		}
	}
	return reply{}, fail(http.StatusNotFound, "No image found with ID %s", q.PathValue("id"))
}

// showImageSchema is the JSON schema of images, as far as there are images here: python-glanceclient asks for it before
// it lists any.
func (c *Cloud) showImageSchema(*call) (reply, error) {
	properties, text := obj{}, obj{"type": []string{"null", "string"}}
	for name := range (image{}).document() {
		properties[name] = text
	}
	for _, name := range []string{"size", "virtual_size", "min_disk", "min_ram"} {
		properties[name] = obj{"type": []string{"null", "integer"}}
	}
	for _, name := range []string{"protected", "os_hidden"} {
		properties[name] = obj{"type": "boolean"}
	}
	properties["tags"] = obj{"type": "array", "items": obj{"type": "string"}}
	return ok(obj{"name": "image", "properties": properties, "additionalProperties": obj{"type": "string"}, "links": []obj{
		{"rel": "self", "href": "{self}"}, {"rel": "enclosure", "href": "{file}"}, {"rel": "describedby", "href": "{schema}"},
	}})
}
