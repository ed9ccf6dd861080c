package simcloud

import "net/http"

func (c *Cloud) cinderVersions(q *call) (reply, error) {
	status := http.StatusOK
	if q.URL.Path == "/volume" {
		status = http.StatusMultipleChoices
	}
	return reply{status: status, body: obj{"versions": []obj{{
		"id": "v3.0", "status": "CURRENT", "version": "3.70", "min_version": "3.0", "updated": "2022-03-30T00:00:00Z",
		"links": []obj{{"rel": "self", "href": q.base + "/volume/v3/"}},
	}}}}, nil
}

// ownVolumes: Cinder's addresses carry the project, which must be the token's.
func ownVolumes(q *call) error {
	if q.PathValue("project") != q.who.ProjectID && !q.who.admin() {
		return fail(http.StatusBadRequest, "Malformed request url")
	}
	return nil
}

func (v volumeType) document() obj {
	return obj{
		"id": v.ID, "name": v.Name, "description": nil, "is_public": true, "os-volume-type-access:is_public": true, "extra_specs": obj{},
		"qos_specs_id": nil,
	}
}

func (c *Cloud) listVolumeTypes(q *call) (reply, error) {
	if err := ownVolumes(q); err != nil {
		return reply{}, err
	}
	var list []obj
	for _, v := range c.volumes {
		list = append(list, v.document())
	}
	return listed(q, "volume_types", list, "id")
}

func (c *Cloud) showVolumeType(q *call) (reply, error) {
	if err := ownVolumes(q); err != nil {
		return reply{}, err
	}
	id := q.PathValue("id")
	for _, v := range c.volumes {
		if v.ID == id || id == "default" && v.Default {
			return ok(obj{"volume_type": v.document()})
		}
	}
	if id == "default" {
		return reply{}, fail(http.StatusNotFound, "Default volume type can not be found.")
	}
	return reply{}, fail(http.StatusNotFound, "Volume type %s could not be found.", id)
}

func (c *Cloud) listVolumeZones(q *call) (reply, error) {
	if err := ownVolumes(q); err != nil {
		return reply{}, err
	}
	list := c.zones()
	for _, zone := range list {
		delete(zone, "hosts")
	}
	return ok(obj{"availabilityZoneInfo": list})
}

func (c *Cloud) showVolumeLimits(q *call) (reply, error) {
	if err := ownVolumes(q); err != nil {
		return reply{}, err
	}
	return ok(obj{"limits": obj{"rate": []obj{}, "absolute": obj{
		"maxTotalVolumes": -1, "totalVolumesUsed": 0, "maxTotalVolumeGigabytes": -1, "totalGigabytesUsed": 0,
	}}})
}
