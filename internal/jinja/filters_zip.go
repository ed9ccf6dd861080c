package jinja

import "slices"

// zipFilter puts the elements of lists side by side, until the shortest ends.
func zipFilter(r *run, in any, a *args) any {
	lists := [][]any{r.rawItems(in)}
	for _, other := range a.rest(0) {
		lists = append(lists, r.rawItems(other))
	}
	shortest := len(lists[0])
	for _, l := range lists {
		shortest = min(shortest, len(l))
	}
	out := &List{}
	for i := range shortest {
		row := &List{Tuple: true}
		for _, l := range lists {
			row.Items = append(row.Items, l[i])
		}
		r.alloc(16 * len(lists))
		out.Items = append(out.Items, row)
	}
	return out
}

// zipLongest goes on until the longest list ends, with fillvalue for what others lack.
func zipLongest(r *run, in any, a *args) any {
	lists := [][]any{r.rawItems(in)}
	fill, _ := a.get(-1, "fillvalue")
	longest := len(lists[0])
	for _, other := range a.rest(0) {
		l := r.rawItems(other)
		lists, longest = append(lists, l), max(longest, len(l))
	}
	out := &List{}
	for i := range longest {
		row := &List{Tuple: true}
		for _, l := range lists {
			item := fill
			if i < len(l) {
				item = l[i]
			}
			row.Items = append(row.Items, item)
		}
		r.alloc(16 * len(lists))
		out.Items = append(out.Items, row)
	}
	return out
}

// productFilter is every choice of one element from each list, the last list's changing fastest.
func productFilter(r *run, in any, a *args) any {
	rows := [][]any{nil}
	lists := [][]any{r.rawItems(in)}
	for _, other := range a.rest(0) {
		lists = append(lists, r.rawItems(other))
	}
	if n, ok := a.get(-1, "repeat"); ok {
		r.spend(r.wantInteger(n))
		lists = slices.Repeat(lists, max(r.wantInteger(n), 0))
	}
	for _, l := range lists {
		r.alloc(r.product(16*len(lists)*max(len(rows), 1), len(l)))
		var longer [][]any
		for _, row := range rows {
			for _, item := range l {
				r.spend(1)
				longer = append(longer, append(slices.Clone(row), item))
			}
		}
		rows = longer
	}
	out := &List{}
	for _, row := range rows {
		out.Items = append(out.Items, &List{Tuple: true, Items: row})
	}
	return out
}
