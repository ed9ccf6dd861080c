package api

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"github.com/jeroboam-cloud/jeroboam/internal/magnum"
)

// parseQuery reads the query and refuses what the route does not know (Magnum 1.14: 400).
func (c *call) parseQuery(known string) error {
	if c.r.URL.RawQuery == "" {
		return nil
	}
	query, err := url.ParseQuery(c.r.URL.RawQuery)
	if err != nil {
		return magnum.Invalid("The query of the request cannot be read. Check how it is escaped.")
	}
	for name := range query {
		if !slices.Contains(strings.Fields(known), name) {
			return unknownArgument(name)
		}
	}
	c.query = query
	return nil
}

func unknownArgument(name string) error {
	return magnum.Invalid("Unknown argument: %q", magnum.Shorten(name, 100))
}

// A page says which part of a list is wanted, in which order.
type page struct {
	limit      int
	marker     string
	sortKey    string
	descending bool
}

func (s *server) page(c *call) (page, error) {
	p := page{limit: s.Config.MaxLimit, sortKey: "id"}
	if c.query == nil {
		return p, nil
	}
	if text := c.query.Get("limit"); text != "" {
		limit, err := strconv.Atoi(text)
		if err != nil {
			return p, invalidInput("limit", text, "unable to convert to int.")
		}
		if limit <= 0 {
			return p, magnum.Invalid("Limit must be positive")
		}
		p.limit = min(limit, p.limit)
	}
	p.marker = c.query.Get("marker")
	p.sortKey = cmp.Or(c.query.Get("sort_key"), p.sortKey)
	switch dir := c.query.Get("sort_dir"); dir {
	case "", "asc":
	case "desc":
		p.descending = true
	default:
		return p, magnum.Invalid("Invalid sort direction: %s. Acceptable values are 'asc' or 'desc'", magnum.Shorten(dir, 100))
	}
	return p, nil
}

// uuidMarker refuses markers that cannot be one (Magnum 1.14: 400 for these, 404 for unknown ones).
func (p page) uuidMarker() error {
	if p.marker == "" {
		return nil
	}
	if _, err := uuid.Parse(p.marker); err != nil {
		return invalidInput("marker", p.marker, "Expected a uuid.")
	}
	return nil
}

// order is how things of one kind may be sorted: by the columns of Magnum's tables.
type order[T any] map[string]func(a, b T) int

// A paged list: what is on the page, and where the next one starts if there may be one.
type paged[T any] struct {
	items []T
	next  string
}

// paginate cuts the page out of all, which comes in the order of "id". It never changes all.
func paginate[T any](c *call, all []T, p page, by order[T], id func(T) string, kind, address string) (paged[T], error) {
	compare, ok := by[p.sortKey]
	if !ok {
		return paged[T]{}, magnum.Invalid("The sort_key value %q is an invalid field for sorting", magnum.Shorten(p.sortKey, 100))
	}
	if p.sortKey != "id" || p.descending {
		all = slices.Clone(all)
		slices.SortStableFunc(all, compare)
		if p.descending {
			slices.Reverse(all)
		}
	}
	if p.marker != "" {
		i := slices.IndexFunc(all, func(t T) bool { return id(t) == p.marker })
		if i < 0 {
			return paged[T]{}, magnum.NotFound("%s %s could not be found.", kind, p.marker)
		}
		all = all[i+1:]
	}
	out := paged[T]{items: all[:min(p.limit, len(all))]}
	// A full page has a next one, even if nothing is on it (Magnum 1.14).
	if n := len(out.items); n == p.limit {
		dir := "asc"
		if p.descending {
			dir = "desc"
		}
		out.next = c.base + "/v1/" + address + "?sort_key=" + p.sortKey + "&sort_dir=" + dir +
			"&limit=" + strconv.Itoa(p.limit) + "&marker=" + id(out.items[n-1])
	}
	return out, nil
}

// writeList writes {"<name>": [...], "next": ...}.
func writeList[T any](c *call, name string, p paged[T], write func(*object, T)) answer {
	o := c.object()
	o.open()
	o.key(name)
	o.raw("[")
	for _, item := range p.items {
		o.open()
		write(o, item)
		o.close()
		o.raw(",")
	}
	o.end(']')
	o.raw(",")
	if p.next != "" {
		o.str("next", p.next)
	}
	o.close()
	return c.ok(http.StatusOK, o)
}

// field makes a comparison from a column.
func field[T any, K cmp.Ordered](get func(T) K) func(a, b T) int {
	return func(a, b T) int { return cmp.Compare(get(a), get(b)) }
}

func flag[T any](get func(T) bool) func(a, b T) int {
	number := func(t T) int {
		if get(t) {
			return 1
		}
		return 0
	}
	return field(number)
}
