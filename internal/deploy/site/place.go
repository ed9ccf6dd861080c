package site

// Place is where items are: a physical host, or a container of it.
type Place struct {
	Host      string
	Container string
}

// Name is what people see.
func (p Place) Name() string {
	if p.Container != "" {
		return p.Container
	}
	return p.Host
}

// Cluster is the place of what is in the API server.
const Cluster = "cluster"

// At is the place of a component of the inventory: intent's Where gives both names.
func At(host, container string) Place { return Place{Host: host, Container: container} }
